"""What came of one problem, from what its nodes sent and what its services counted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tts.answers.groups import canonical_form
from tts.runtime.stream import Services
from tts.types import Answer, Problem, Result, Support, Trajectory

if TYPE_CHECKING:
    from tts.runtime.executor import Job


def build_result(
    job: "Job",
    services: Services,
    seen: Mapping[str, Trajectory],
    failures: Sequence[str],
    sunk: Sequence[Trajectory],
) -> Result:
    """Return the result of a problem.

    Args:
        job: What was to be done.
        services: Ledger and trace.
        seen: Every trajectory that a node sent or recorded, by id.
        failures: What went wrong in which node.
        sunk: Those that left the pipeline, best first.
    """
    kept = _with_ancestors(sunk, seen)
    total = services.ledger.usage
    useful = sum(t.usage.generated_tokens or 0 for t in kept)
    useful += total.checking_tokens or 0
    wasted = None if total.generated_tokens is None else total.generated_tokens - useful
    answered = next((t for t in sunk if t.answer is not None), None)
    return Result(
        problem=job.problem,
        answer=None if answered is None else _answer(answered, job.problem),
        reason=_reason(services, seen, failures, has_answer=answered is not None),
        trajectories=tuple(kept),
        usage=replace(total, wasted_tokens=wasted, seconds=services.trace.seconds()),
        trace=tuple(services.trace.events),
        seed=job.seed,
        preset=job.preset,
        engine=services.engine.info.name,
        attempts=tuple(sorted(filter(_is_attempt, seen.values()), key=_place)),
    )


def _with_ancestors(sunk: Sequence[Trajectory], seen: Mapping[str, Trajectory]) -> list[Trajectory]:
    kept: dict[str, Trajectory] = {}
    waiting = list(sunk)
    while waiting:
        trajectory = waiting.pop(0)
        if trajectory.id not in kept:
            kept[trajectory.id] = trajectory
            waiting += [seen[parent] for parent in trajectory.parents if parent in seen]
    return list(kept.values())


def _reason(
    services: Services,
    seen: Mapping[str, Trajectory],
    failures: Sequence[str],
    *,
    has_answer: bool,
) -> str:
    events = services.trace.events
    parts = list(failures)
    asks = [e.fields for e in events if e.kind in ("request", "reserve")]
    short = any(ask["granted"] < ask["asked"] for ask in asks)
    if short or services.ledger.is_expired:
        parts.append(services.ledger.shortfall())
    parts += [str(e.fields["message"]) for e in events if e.kind == "warning"]
    parts += sorted({t.error for t in seen.values() if t.error is not None})
    if not has_answer and not parts:
        parts.append("no trajectory gave an answer")
    return "; ".join(dict.fromkeys(parts))


def _is_attempt(trajectory: Trajectory) -> bool:
    is_drawn = trajectory.usage.calls > 0 and trajectory.finish_reason in ("stop", "length")
    return is_drawn and trajectory.support is None  # with support, it is a decision


def _place(trajectory: Trajectory) -> tuple[str, int, str]:
    return trajectory.origin.node, trajectory.origin.index, trajectory.id


def _answer(trajectory: Trajectory, problem: Problem) -> Answer:
    text = trajectory.answer or ""
    support = trajectory.support or Support(votes=1, voters=1, weight=1.0, probability=1.0)
    return Answer(text, canonical_form(text, problem.answer_type), support)
