"""How certain the model was at each token, over the whole vocabulary: what a sequence gathers."""

CERTAINTY_KEY = "tts_certainty"  # where a sequence's readings travel to the logits processor
PROCESSOR = "tts.engine.certainty_processor:CertaintyProcessor"


class Readings:
    """Entropy and self-certainty of one sequence's tokens, read where they are drawn.

    The engine may look at the same token again: while a prompt is read in parts, and after a
    preemption. The last look counts.
    """

    def __init__(self) -> None:
        self._values: list[tuple[float, float]] = []

    def put(self, place: int, entropy: float, self_certainty: float) -> None:
        """Note the distribution of the token at a place."""
        self._values[place:] = [(entropy, self_certainty)]

    def of_first(self, size: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return the entropies and self-certainties of the first `size` tokens.

        None if there are fewer: the engine draws its tokens in another process.
        """
        if len(self._values) < size:
            return None
        entropies, self_certainties = zip(*self._values[:size], strict=True) if size else ((), ())
        return entropies, self_certainties
