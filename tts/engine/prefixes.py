"""Who has read which beginnings of prompts: blocks by their content and by all before them."""

from collections.abc import Iterable, Iterator, Sequence

from tts.types import Completion, Prompt

_IDS = 16  # token ids in a block, as in vLLM's KV blocks
_CHARACTERS = 64  # of a text: about as many tokens
_MOST_BLOCKS = 2**18  # in memory, some 30 MB; the oldest go first


class Prefixes:
    """What each of several engines has read, for as long as memory is set aside for it."""

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}  # a bit for each engine

    def found(self, blocks: Sequence[int], num_engines: int) -> list[float]:
        """Return the share of a prompt's blocks that each engine has read, from the first on."""
        counts, everyone = [0] * num_engines, 2**num_engines - 1
        for block in blocks:
            everyone &= self._readers.get(block, 0)
            if not everyone:
                break
            for engine in range(num_engines):
                counts[engine] += everyone >> engine & 1
        return [count / max(1, len(blocks)) for count in counts]

    def read(self, blocks: Iterable[int], engine: int) -> None:
        """Note that an engine reads, or has, these blocks."""
        for block in blocks:
            self._readers[block] = self._readers.pop(block, 0) | 1 << engine
        while len(self._readers) > _MOST_BLOCKS:
            del self._readers[next(iter(self._readers))]

    def wrote(self, completion: Completion, engine: int) -> None:
        """Note what an engine has in its cache since it wrote a completion."""
        ids = (*completion.prompt_token_ids, *completion.token_ids)
        self.read(_chain(ids, _IDS), engine)


def blocks_of(prompt: Prompt) -> tuple[int, ...]:
    """Return a hash for each whole block of a prompt."""
    if prompt.token_ids:
        return tuple(_chain(prompt.token_ids, _IDS))
    turns = "".join(f"{message.role}\0{message.content}\0" for message in prompt.messages)
    return tuple(_chain(prompt.text or turns + prompt.beginning, _CHARACTERS))


def _chain(content: str | Sequence[int], size: int) -> Iterator[int]:
    """Yield a hash for each whole block, of all that comes before it too."""
    before = 0
    for start in range(0, len(content) - size + 1, size):
        before = hash((before, content[start : start + size]))
        yield before
