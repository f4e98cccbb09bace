"""What was chosen by scores, beside the plain vote, as a table."""

from collections.abc import Iterable

from rich.table import Table

from tts.console import output
from tts.evals.score_figures import Choice


def choice_table(
    choices: Iterable[tuple[str, Choice]], *, vote: float | None = None, to: str = "the vote"
) -> Table:
    """Return the accuracy of each choice and its gain over the plain vote, or over something else.

    Args:
        choices: With their names.
        vote: The plain vote's own accuracy, for a row of its own.
        to: What the gains are over.
    """
    numbers = ("accuracy", f"to {to}", "95 % interval")
    table: Table = output.new_table("choice", *numbers, right=numbers)
    if vote is not None:
        output.add_row(table, "plain vote", f"{vote:.1%}", "", "")
    for name, choice in choices:
        interval = f"[{choice.low:+.1%}, {choice.high:+.1%}]"
        output.add_row(table, name, f"{choice.accuracy:.1%}", f"{choice.gain:+.1%}", interval)
    return table
