"""From runs on calibration problems to a policy: belief, price of a budget, ladder.

Every accuracy in a policy is cross-validated: what decides is fitted on one half of the problems
and used on the other, both ways round; what the file keeps is then fitted on all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Self

import numpy as np

from tts.allocation.curves import Stopped, stop_at_prices
from tts.allocation.fit import Recorded, draw_orders, fit_belief, follow_votes
from tts.allocation.policy_file import SCHEMA, BeliefPart, Policy, PricePoint
from tts.allocation.support import Gains
from tts.errors import InputError
from tts.evals.calibration.ladder import fit_ladder
from tts.evals.calibration.samples import (
    LEAST_SAMPLES,
    Key,
    best_records,
    spent_on,
    to_recorded,
    tried_strategies,
)
from tts.evals.independent_samples import answered, common_verifiers, missing_scores
from tts.evals.metrics import bootstrap_interval
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun
from tts.evals.units import why_unknown
from tts.types.figures import LATENCIES, Counted, is_replay

PRICES = (*(float(p) for p in np.geomspace(0.1, 1e-5, 25)), 0.0)  # all samples for none
_NUM_ORDERS = 8
_LEAST_PROBLEMS = 4
_FEW_PROBLEMS = 50


def calibrate(
    runs: Sequence[StoredRun],
    *,
    unit: Counted | None = None,
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> Policy:
    """Return the policy that runs of one model give.

    Samples come from the run with the most of them on each problem, drawn and not cut short.

    Args:
        runs: Finished runs, of one model.
        unit: Of costs; generated tokens if None, or samples where nobody counted tokens.
        seed: Of halves and orders.
        provenance: Noted in the policy, beside what the runs say.

    Raises:
        InputError: No runs, several models, costs that are not known in the unit, or too few
            problems with samples to fit anything.
    """
    model = _only_model(runs)
    best = best_records(runs)
    verifier = min(common_verifiers(list(best.values())), default=None)
    if unit == "seconds" and any(is_replay(str(run.config["engine"])) for run in runs):
        raise InputError(f"a policy in seconds: {why_unknown(unit)}; count tokens or calls")
    given = _Given.of(best, verifier, unit, seed)
    belief = fit_belief(list(given.recorded.values()))
    ladder = None
    if verifier is not None and not given.is_one_sided:
        ladder = fit_ladder(
            [given.recorded[key] for key in given.keys],
            [[given.keys.index(key) for key in half] for half in given.halves],
            verifier=verifier,
            is_latency=given.unit in LATENCIES,
            tried=tried_strategies(runs, best, given.keys, given.unit),
            seed=seed,
        )
    return Policy(
        schema=SCHEMA,
        model=model,
        unit=given.unit,
        provenance={**_provenance(runs, seed, len(given.keys)), **(provenance or {})},
        belief=BeliefPart(**asdict(belief)),
        prices=_prices(given, seed=seed),
        ladder=ladder,
        notes=(*_notes(given), *_score_notes(best.values())),
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """What is calibrated on.

    Attributes:
        recorded: The samples of each problem.
        halves: Its keys in two halves; each is judged by what the other taught.
        unit: Of the samples' costs.
    """

    recorded: Mapping[Key, Recorded]
    halves: tuple[list[Key], list[Key]]
    unit: Counted

    @property
    def keys(self) -> list[Key]:
        """Of all problems, in order."""
        return sorted(self.recorded)

    @property
    def is_one_sided(self) -> bool:
        """Whether every sample is right, or every one wrong, so that none tells when to go on."""
        problems = self.recorded.values()
        return len({index in p.right for p in problems for index in p.classes}) == 1

    @classmethod
    def of(
        cls, best: Mapping[Key, Record], verifier: str | None, unit: Counted | None, seed: int
    ) -> Self:
        """Return the samples of records, with a verifier's scores if one is named.

        Raises:
            InputError: Fewer than four problems, or costs that are not known.
        """
        if unit is None:
            known = all(spent_on(record, "tokens") is not None for record in best.values())
            unit = "tokens" if known else "calls"
        recorded = {key: to_recorded(best[key], unit, verifier) for key in best}
        if len(recorded) < _LEAST_PROBLEMS:
            raise InputError(
                f"calibration needs four problems with {LEAST_SAMPLES} whole samples each, got "
                f"{len(recorded)}; add a preset that draws them, such as self_consistency"
            )
        return cls(recorded, _halves(sorted(recorded), seed), unit)


def _only_model(runs: Sequence[StoredRun]) -> str:
    models = {str(run.config["model"]) for run in runs}
    if len(models) != 1:
        raise InputError(
            f"a policy is for one model, these runs have {', '.join(models) or 'none'}"
        )
    return models.pop()


def _halves(keys: Sequence[Key], seed: int) -> tuple[list[Key], list[Key]]:
    """Split by problem, so that repeats of one problem stay together."""
    problems = sorted({key[:2] for key in keys})
    order = np.random.default_rng(seed).permutation(len(problems))
    first = {problems[i] for i in order[: len(problems) // 2]}
    return [k for k in keys if k[:2] in first], [k for k in keys if k[:2] not in first]


def _prices(given: _Given, *, seed: int) -> tuple[PricePoint, ...]:
    stopped: dict[Key, Stopped] = {}
    rng = np.random.default_rng(seed)
    for test, train in (given.halves, given.halves[::-1]):
        gains = Gains(fit_belief([given.recorded[key] for key in train]))
        for key in test:
            problem = given.recorded[key]
            course = follow_votes(problem, draw_orders(rng, _NUM_ORDERS, len(problem.classes)))
            is_latency = given.unit in LATENCIES
            stopped[key] = stop_at_prices(gains, course, PRICES, is_latency=is_latency)
    keys = given.keys
    points = []
    for i, price in enumerate(PRICES):
        marks = [float(stopped[key].accuracy[i]) for key in keys]
        low, high = bootstrap_interval(marks, seed=seed, num_resamples=1_000)
        points.append(
            PricePoint(
                price=price,
                samples=fmean(float(stopped[key].samples[i]) for key in keys),
                cost=fmean(float(stopped[key].cost[i]) for key in keys),
                accuracy=min(1.0, fmean(marks)),
                low=low,
                high=min(1.0, high),
            )
        )
    return tuple(points)


def _provenance(runs: Sequence[StoredRun], seed: int, num_problems: int) -> dict[str, Any]:
    return {
        "benchmarks": sorted({str(run.config["benchmark"]) for run in runs}),
        "splits": sorted({str(run.config.get("split", "")) for run in runs}),
        "presets": sorted({str(run.config["preset"]) for run in runs}),
        "fingerprints": sorted({str(run.config["fingerprint"]) for run in runs}),
        "run_seeds": sorted({int(run.config["seed"]) for run in runs}),
        "runs": [str(run.folder) for run in runs],
        "problems": num_problems,
        "halves_seed": seed,
    }


def _notes(given: _Given) -> Iterator[str]:
    if given.is_one_sided:
        yield (
            "every sample is right, or every one wrong: nothing tells when to go on, so that auto "
            "counts votes and goes by a prior belief"
        )
    if len(given.keys) < _FEW_PROBLEMS:
        yield f"only {len(given.keys)} problems: intervals are wide"


def _score_notes(records: Iterable[Record]) -> Iterator[str]:
    """Say which verifiers scored samples and give no ladder all the same."""
    samples = answered(records)
    for name, missing in missing_scores(samples).items():
        if missing:
            yield (
                f"no ladder by {name}: {missing} of {len(samples)} samples with an answer have no "
                "score of it in [0, 1]"
            )
