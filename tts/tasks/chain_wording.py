"""English wordings of chained arithmetic: plain instructions and small stories."""

import random
from collections.abc import Sequence

PLAIN = {
    "start": ("Start with {n}.", "Take the number {n}.", "Begin at {n}."),
    "add": ("Add {k}.", "Increase it by {k}.", "Then add {k}."),
    "sub": ("Subtract {k}.", "Decrease it by {k}.", "Then take away {k}."),
    "mul": ("Multiply by {k}.", "Make it {k} times as large.", "Then multiply by {k}."),
    "div": ("Divide by {k}.", "Split it into {k} equal parts and keep one.", "Then divide by {k}."),
    "from": ("Subtract the result from {k}.", "Take it away from {k}."),
    "ask": ("What is the result?", "Which number do you get?"),
    "other": ("Ignore the number {k}.", "A friend starts with {k}.", "The page number is {k}."),
}
STORY = {
    "start": (
        "{name} has {n} {item}.",
        "There are {n} {item} in the box of {name}.",
        "{name} starts the day with {n} {item}.",
    ),
    "add": (
        "{name} buys {k} more.",
        "A friend brings {k} {item}.",
        "Then {name} finds {k} {item}.",
    ),
    "sub": (
        "{name} gives away {k}.",
        "Then {k} {item} are lost.",
        "{name} sells {k} {item}.",
    ),
    "mul": (
        "Then {name} has {k} times as many.",
        "The number of {item} becomes {k} times as large.",
    ),
    "div": (
        "{name} shares them equally among {k} boxes and keeps one box.",
        "Only one {item} in {k} is kept.",
    ),
    "from": (
        "{name} wants {k} {item} and counts those still missing.",
        "A bag holds {k}; only the empty places count from now on.",
    ),
    "ask": (
        "What is the final number of {item}?",
        "How many {item} is that in the end?",
    ),
    "other": (
        "{name} is {k} years old.",
        "The shop is {k} steps away.",
        "{friend} has {k} {thing}.",
    ),
}
NAMES = ("Mia", "Tom", "Ana", "Leo", "Eva", "Sam")
ITEMS = ("apples", "coins", "cards", "books", "shells", "stamps")


def word_chain(
    rng: random.Random, start: int, operations: Sequence[tuple[str, int]], num_distractors: int
) -> str:
    """Return the text of a problem; sentences with distractors stand anywhere after the first."""
    style = rng.choice((PLAIN, STORY))
    name, friend = rng.sample(NAMES, 2)
    item, thing = rng.sample(ITEMS, 2)

    def word(kind: str, k: int) -> str:
        return rng.choice(style[kind]).format(
            k=k, n=k, name=name, friend=friend, item=item, thing=thing
        )

    sentences = [word("start", start)] + [word(kind, k) for kind, k in operations]
    for _ in range(num_distractors):
        sentences.insert(rng.randint(1, len(sentences)), word("other", rng.randint(2, 99)))
    return " ".join([*sentences, word("ask", 0)])
