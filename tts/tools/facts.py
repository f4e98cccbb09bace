"""A file of facts: the passages that are nearest to a query, by TF-IDF over character n-grams."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from tts.passages import Passages
from tts.protocols import Context
from tts.tools.base import Found, Tool, ToolConfig, only


class Config(ToolConfig):
    """Parameters of the tool `facts`."""

    file: str = Field(
        description="text file with a passage on each line; of a .jsonl file, the key `text`"
    )
    passages: int = Field(3, ge=1, description="most passages of one call, nearest first")
    least: float = Field(0.2, ge=0, le=1, description="least cosine that a passage must reach")


class Facts(Tool):
    """Looks passages up."""

    signature = "facts(query: str) -> str"
    about = "looks up what is known about something"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._number, self._least = config.passages, config.least
        self._passages = Passages(Path(config.file))

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        """Return the nearest passages, a line each.

        Raises:
            ValueError: None is near enough.
        """
        query = only(arguments, "a query")
        near = self._passages.nearest(query, least=self._least, most=self._number)
        if not near:
            raise ValueError("nothing is known about this")
        return Found("\n".join(near))


def build(config: Config) -> Facts:
    """Read the file.

    Raises:
        InputError: It cannot be read, has a line that is none, or holds no passage.
    """
    return Facts(config)
