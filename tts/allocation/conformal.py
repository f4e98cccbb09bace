"""Whether a chunk of a draft is as likely to its target as chunks usually are: conformal p-values.

Source: "ATTS: Asynchronous Test-Time Scaling via Conformal Prediction", 2025, arXiv:2509.15148. A
score (a perplexity: higher is worse) is compared with those of chunks that were drawn alike. If the
new one is exchangeable with them, its p-value is at most alpha with a chance of at most alpha.

Chunks of different turns are not exchangeable: a long attempt's late chunks are less likely than
first ones. So scores are kept turn by turn; turns that few attempts have reached share theirs.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tts.errors import InputError
from tts.storage.sealed_lines import read_json, write_json
from tts.types import Sampling

PERPLEXITY = "perplexity"  # name of the score that holds those of an attempt's chunks
_FEWEST = 20  # scores of a turn that has an array of its own


@dataclass(frozen=True, slots=True)
class Conformal:
    """Scores of calibration chunks.

    Attributes:
        turns: Scores of each turn, rising; the last holds those of all later turns too.
        draft: Name of the model that wrote the chunks.
        target: Name of the model that scored them.
        mean_turns: Of an attempt.
        drawn: How the chunks were drawn, by the names that presets have for it; what is not there
            is not known.
    """

    turns: tuple[tuple[float, ...], ...]
    draft: str
    target: str
    mean_turns: float
    drawn: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        attempts: Sequence[Sequence[float]],
        *,
        draft: str,
        target: str,
        drawn: Mapping[str, float] | None = None,
    ) -> Self:
        """Return what is kept of attempts.

        Args:
            attempts: Scores of each one's chunks, turn by turn.
            draft: Name of the model that wrote them.
            target: Name of the model that scored them.
            drawn: How they were drawn.

        Raises:
            InputError: There are too few to say anything.
        """
        by_turn: list[list[float]] = []
        for attempt in attempts:
            by_turn += [[] for _ in range(len(attempt) - len(by_turn))]
            for turn, score in enumerate(attempt):
                by_turn[turn].append(score)
        own = next((t for t, s in enumerate(by_turn) if len(s) < _FEWEST), len(by_turn))
        kept, rest = by_turn[:own], [score for scores in by_turn[own:] for score in scores]
        if len(rest) >= _FEWEST:
            kept.append(rest)
        elif kept:
            kept[-1] += rest
        if not kept:
            raise InputError(f"{len(rest)} scored chunks are too few; {_FEWEST} are the least")
        mean = sum(map(len, attempts)) / len(attempts)
        turns = tuple(tuple(sorted(scores)) for scores in kept)
        return cls(turns, draft, target, mean, dict(drawn or {}))

    def p_value(self, turn: int, score: float) -> float:
        """Return the share of scores that are no smaller, the new one among them.

        p = (1 + #{calibration scores >= score}) / (n + 1)

        Args:
            turn: Of the chunk, from 0.
            score: Its own.
        """
        scores = self.turns[min(turn, len(self.turns) - 1)]
        return (1 + len(scores) - bisect_left(scores, score)) / (len(scores) + 1)

    def alpha_for(self, takeovers: float, attempts: int) -> float:
        """Return the alpha at which so many chunks of so many attempts are rejected on average."""
        return min(1.0, takeovers / (attempts * self.mean_turns))

    def save(self, path: Path) -> None:
        """Write it."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it.

        Raises:
            InputError: The file is missing, or is no such file.
        """
        values = read_json(path)
        if values is None:
            raise InputError(f"{path}: not found; write it with `tts calibrate --conformal {path}`")
        try:
            return cls(**{**values, "turns": _arrays(values["turns"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: holds no scores of drafts: {error}") from error


def drawn(sampling: Sampling, chunk_tokens: int) -> dict[str, float]:
    """Return what decides how likely a chunk is, by the names that presets have for it."""
    named = {name: getattr(sampling, name) for name in ("temperature", "top_p", "top_k", "min_p")}
    return {**named, "chunk_tokens": chunk_tokens}


def _arrays(values: Any) -> tuple[tuple[float, ...], ...]:
    arrays = tuple(tuple(sorted(map(float, scores))) for scores in values)
    if not arrays or not all(arrays):
        raise ValueError("a turn has none")
    return arrays
