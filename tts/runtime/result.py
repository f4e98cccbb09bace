"""What came of one problem, from what its nodes sent and what was counted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tts.answers.groups import canonical_form
from tts.runtime.run_state import RunState
from tts.types import Answer, GraphFigures, Problem, Result, Support, Trajectory


def build_result(state: RunState, sunk: Sequence[Trajectory]) -> Result:
    """Return the result of a problem.

    Args:
        state: Job, ledger, facts and every trajectory that a node sent or recorded.
        sunk: Those that left the pipeline, best first.
    """
    job, seen, total = state.job, state.seen, state.ledger.usage
    kept = _with_ancestors(sunk, seen)
    useful = sum(t.usage.generated_tokens or 0 for t in kept)
    useful += total.checking_tokens or 0
    wasted = None if total.generated_tokens is None else total.generated_tokens - useful
    answered = next((t for t in sunk if t.answer is not None), None)
    errors = (t.error for t in seen.values() if t.error is not None)
    facts = state.facts.close(spent=state.ledger.shortfall(), errors=errors)
    trace = state.facts.trace
    samples = tuple(sorted(filter(_is_sample, seen.values()), key=_place))
    for sample in samples:
        state.facts.sampled(sample)
    return Result(
        problem=job.problem,
        answer=None if answered is None else _answer(answered, job.problem),
        reason=facts.reason(has_answer=answered is not None, lack=_lack(samples)),
        trajectories=tuple(kept),
        usage=replace(
            total,
            wasted_tokens=wasted,
            seconds=trace.seconds(),
            sequential_tokens=sequential_tokens(samples, facts.graphs),
            latency_tokens=state.ledger.latency_tokens,
        ),
        trace=tuple(trace.events),
        seed=job.seed,
        preset=job.preset,
        engine=state.engines[""].info.name,
        samples=samples,
        facts=facts,
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


def _is_sample(trajectory: Trajectory) -> bool:
    is_drawn = trajectory.usage.calls > 0 and trajectory.finish_reason in ("stop", "length")
    return is_drawn and trajectory.support is None  # with support, it is a decision


def _place(trajectory: Trajectory) -> tuple[str, int, str]:
    return trajectory.origin.node, trajectory.origin.index, trajectory.id


def _lack(samples: Sequence[Trajectory]) -> str:
    """Return what kept samples from giving an answer, if that can be seen: no text, or its end."""
    empty = [not sample.text.strip() for sample in samples]
    cut = [sample.finish_reason == "length" for sample in samples]
    for are, what in ((empty, "empty"), (cut, "cut by the limit of their tokens")):
        if any(are):
            return f"{'all' if all(are) else 'some'} were {what}"
    return ""


def _answer(trajectory: Trajectory, problem: Problem) -> Answer:
    text = trajectory.answer or ""
    support = trajectory.support or Support(votes=1, voters=1, weight=1.0, probability=1.0)
    return Answer(text, canonical_form(text, problem.answer_type), support)


def sequential_tokens(
    samples: Sequence[Trajectory], graphs: Sequence[GraphFigures] = ()
) -> int | None:
    """Return the generated tokens on the longest chain of dependent samples.

    A sample comes after its parents; the tokens of a search's solution are those of its whole path,
    and those of a sample that came of a graph of tasks are the graph's. Work beside the samples
    (judges, comparisons without a sample) is not counted.

    Args:
        samples: Of one problem.
        graphs: Of the same.

    Returns:
        None where tokens were not counted.
    """
    if any(sample.usage.generated_tokens is None for sample in samples):
        return None
    by_id = {sample.id: sample for sample in samples}
    known = {graph.trajectory: graph.sequential_tokens for graph in graphs}

    def until(sample: Trajectory) -> int:
        if sample.id not in known:
            own = max(sample.usage.generated_tokens or 0, len(sample.token_ids))
            parents = (by_id[name] for name in sample.parents if name in by_id)
            known[sample.id] = own + max(map(until, parents), default=0)
        return known[sample.id]

    return max(map(until, samples), default=0)
