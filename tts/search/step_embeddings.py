"""Embeddings of a tree search's steps, for policies that ask which steps say the same."""

from functools import partial

from tts.errors import TTSError
from tts.protocols import Context
from tts.search.once import Once
from tts.search.tree import SearchTree


class StepEmbedder:
    """Embeds steps as they arrive, each text once, into the tree.

    Args:
        context: The node's context.
        engine: Name of the run's engine that embeds.
        tree: Gets the vectors.
    """

    def __init__(self, context: Context, engine: str, tree: SearchTree) -> None:
        self._context = context
        self._asking = context.asking(engine)
        self._tree = tree
        self._texts: Once[None] = Once()

    async def embed(self, text: str) -> None:
        """Embed a step; a failure is a warning, and leaves the step without a vector."""
        await self._texts.get(text, partial(self._embed, text))

    async def _embed(self, text: str) -> None:
        try:
            found = await self._asking.embed([text])
        except TTSError as error:
            self._context.warn(f"a step has no embedding: {error}")
        else:
            self._tree.add_embedding(text, found.vectors[0])
