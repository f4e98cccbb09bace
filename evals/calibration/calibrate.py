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
    to_recorded,
    tried_strategies,
)
from tts.evals.independent_samples import answered, common_verifiers, missing_scores
from tts.evals.metrics import bootstrap_interval
from tts.evals.records import Record
from tts.evals.run_store import StoredRun

PRICES = (*(float(p) for p in np.geomspace(0.1, 1e-5, 25)), 0.0)  # all samples for none
_NUM_ORDERS = 8
_LEAST_PROBLEMS = 4
_FEW_PROBLEMS = 50


def calibrate(
    runs: Sequence[StoredRun], *, seed: int = 0, provenance: Mapping[str, Any] | None = None
) -> Policy:
    """Return the policy that runs of one model give.

    Samples come from the run with the most of them on each problem, drawn and not cut short.

    Args:
        runs: Finished runs, of one model.
        seed: Of halves and orders.
        provenance: Noted in the policy, beside what the runs say.

    Raises:
        InputError: No runs, several models, or too few problems with samples to fit anything.
    """
    model = _only_model(runs)
    best = best_records(runs)
    verifier = min(common_verifiers(list(best.values())), default=None)
    given = _Given.of(best, verifier, seed)
    belief = fit_belief(list(given.recorded.values()))
    ladder = None
    if verifier is not None:
        ladder = fit_ladder(
            [given.recorded[key] for key in given.keys],
            [[given.keys.index(key) for key in half] for half in given.halves],
            verifier=verifier,
            in_tokens=given.in_tokens,
            tried=tried_strategies(runs, best, given.keys) if given.in_tokens else (),
            seed=seed,
        )
    return Policy(
        schema=SCHEMA,
        model=model,
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
        in_tokens: The samples' costs are generated tokens.
    """

    recorded: Mapping[Key, Recorded]
    halves: tuple[list[Key], list[Key]]
    in_tokens: bool

    @property
    def keys(self) -> list[Key]:
        """Of all problems, in order."""
        return sorted(self.recorded)

    @classmethod
    def of(cls, best: Mapping[Key, Record], verifier: str | None, seed: int) -> Self:
        """Return the samples of records, with a verifier's scores if one is named.

        Raises:
            InputError: Fewer than four problems.
        """
        samples = [s for record in best.values() for s in record.independent_samples]
        in_tokens = all(sample.tokens is not None for sample in samples)
        recorded = {key: to_recorded(best[key], in_tokens, verifier) for key in best}
        if len(recorded) < _LEAST_PROBLEMS:
            raise InputError(
                f"calibration needs four problems with {LEAST_SAMPLES} whole samples each, got "
                f"{len(recorded)}; add a preset that draws them, such as self_consistency"
            )
        return cls(recorded, _halves(sorted(recorded), seed), in_tokens)


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
            stopped[key] = stop_at_prices(gains, course, PRICES)
    keys = given.keys
    points = []
    for i, price in enumerate(PRICES):
        marks = [float(stopped[key].accuracy[i]) for key in keys]
        low, high = bootstrap_interval(marks, seed=seed, num_resamples=1_000)
        cost = fmean(float(stopped[key].cost[i]) for key in keys)
        points.append(
            PricePoint(
                price=price,
                samples=fmean(float(stopped[key].samples[i]) for key in keys),
                tokens=cost if given.in_tokens else None,
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
    problems = given.recorded.values()
    right = {index in problem.right for problem in problems for index in problem.classes}
    if len(right) == 1:
        yield "every sample is right, or every one wrong: nothing tells when to go on"
    if len(problems) < _FEW_PROBLEMS:
        yield f"only {len(problems)} problems: intervals are wide"


def _score_notes(records: Iterable[Record]) -> Iterator[str]:
    """Say which verifiers scored samples and give no ladder all the same."""
    samples = answered(records)
    for name, missing in missing_scores(samples).items():
        if missing:
            yield (
                f"no ladder by {name}: {missing} of {len(samples)} samples with an answer have no "
                "score of it in [0, 1]"
            )
