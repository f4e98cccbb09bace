"""How many pages a token budget keeps. Without torch, so that options can be checked early."""


def select_budget_pages(
    budget: int, page_size: int, *, sink_pages: int = 1, local_pages: int = 2
) -> int:
    """Return how many pages a budget of `budget` tokens keeps, sink and local pages included.

    Raises:
        ValueError: The budget is not whole pages, or leaves no page to choose.
    """
    if sink_pages < 0 or local_pages < 1:
        raise ValueError(
            f"sink_pages={sink_pages}, local_pages={local_pages}: the last page is always kept, "
            "so local_pages starts at 1 and sink_pages at 0"
        )
    if budget % page_size:
        raise ValueError(
            f"a budget of {budget} tokens is not whole pages of {page_size}: "
            f"use {budget // page_size * page_size + page_size}"
        )
    forced = (sink_pages + local_pages) * page_size
    if budget <= forced:
        raise ValueError(
            f"a budget of {budget} tokens is used up by {sink_pages} sink and {local_pages} local "
            f"pages of {page_size} tokens: use at least {forced + page_size}"
        )
    return budget // page_size
