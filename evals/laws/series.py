"""The independent samples of one model by one preset, from a run or a pool, and what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from tts.costs.flops import SparseReading
from tts.errors import InputError
from tts.evals.independent_samples import common_verifiers, fewest_samples
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun, read_statements
from tts.parts.build import configure_part
from tts.parts.catalog import parse_verifier
from tts.types import ModelInfo

_JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of a set of problems.

    Attributes:
        name: For people.
        model: As the run or the pool names it.
        records: Problem by problem; a repeat counts as a problem of its own.
        shape: Of the model; None where nobody knows it.
        metadata: Of problems, by their id.
        sparse: What decoding read of the KV cache; None for all.
    """

    name: str
    model: str
    records: Sequence[Record] = field(repr=False)
    shape: ModelInfo | None = None
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    sparse: SparseReading | None = None

    @property
    def samples(self) -> int:
        """Independent samples that every problem has."""
        return fewest_samples(self.records)

    @property
    def tokens(self) -> float | None:
        """Mean generated tokens of a sample; None where they were not counted."""
        known = [sample.tokens for record in self.records for sample in record.independent_samples]
        counted = [number for number in known if number is not None]
        return fmean(counted) if counted and len(counted) == len(known) else None

    @property
    def checks(self) -> Mapping[str, int]:
        """Verdicts that were drawn on each sample, by verifier that draws them."""
        found = {name: _checks(name) for name in common_verifiers(self.records)}
        return {name: number for name, number in found.items() if number}


def series_of_run(run: StoredRun, name: str, *, need_fair_draw: bool = True) -> Series:
    """Return the samples of a run.

    Args:
        run: The run.
        name: For people.
        need_fair_draw: Refuse a run in which a rule decided how many samples there are.

    Raises:
        InputError: Nothing is finished, or its samples are no fair draw.
    """
    if not run.records:
        raise InputError(f"{run.folder}: no problem is finished yet")
    lines = read_statements(run.folder)
    metadata = {str(line["problem"]): line["metadata"] for line in lines}
    model = str(run.config["model"])
    series = Series(name, model, run.records, run.shape, metadata, run.sparse)
    if not need_fair_draw:
        return series
    if any(record.is_cut for record in run.records):
        raise InputError(
            f"{run.folder}: a rule or a limit decided how many samples its problems have, so that "
            "they are no fair draw; take a run of a fixed number, such as self_consistency"
        )
    if not fewest_samples(run.records):
        raise InputError(f"{run.folder}: some problem has no sample that was drawn for itself")
    return series


def _checks(verifier: str) -> int:
    """Return the verdicts on a sample that a score is the share of; 0 for other scores."""
    try:
        name, options = parse_verifier(verifier)
        if name != _JUDGE:
            return 0
        config = configure_part("verifier", name, options)
    except InputError:  # a name from a pool, or options of another version
        return 0
    return int(config.k) if config.reads == "frequency" else 0
