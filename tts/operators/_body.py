"""Pipelines within operators: how a preset writes them and what they ask of the node around them.

In Python a body is a pipeline. In a preset it is a block of nodes, or the name of a preset, or a
strategy with its parameters; nodes that read trajectories and have no `from` read what the node
around them sends:

    mend:
      operator: loop
      from: draft
      until: {measure: prm, at_least: 0.9}
      body:
        revise: {operator: refine}
        judge: {operator: score, from: revise, verifier: prm}

    body: self_consistency
    body: {strategy: genfuse, parameters: {n: 4}}
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, InstanceOf, PlainSerializer

from tts.errors import PipelineError
from tts.pipeline import Pipeline, smallest_batch
from tts.protocols import Spec, State


def _check(pipeline: Pipeline) -> Pipeline:
    pipeline.check(is_body=True)
    return pipeline


Body = Annotated[
    InstanceOf[Pipeline],
    AfterValidator(_check),
    PlainSerializer(lambda pipeline: pipeline.to_mapping(), return_type=dict),
]


def _check_source(body: Pipeline) -> Pipeline:
    if reads(body):
        raise ValueError("the body must begin with a source")
    return body


# A body that is sent nothing.
SourceBody = Annotated[Body, AfterValidator(_check_source)]


def body_spec(bodies: Iterable[Pipeline], *, passes_on: bool = False) -> Spec:
    """Return what pipelines within a node take, give and need, as one specification.

    Args:
        bodies: Side by side; each reads what the node sends it.
        passes_on: The node may also send on what it read.

    Raises:
        PipelineError: Finished and partial trajectories are mixed up, or parts were calibrated for
            different models.
    """
    accepts: set[State] = set()
    emits: set[State] = set()
    parts: list[Spec] = []
    missing: set[str] = set()
    for body in bodies:
        parts += [node.operator.spec for _, node in body]
        accepts |= {node.operator.spec.accepts or "any" for node in body.beginnings}
        emits |= {body.states[node] for node in body.ends}
        missing |= frozenset[str]().union(*body.unmade_scores.values())
    taken = _one(accepts)
    return Spec(
        accepts=taken,
        emits=_one(emits | ({taken} if passes_on else set())),
        needs=frozenset().union(*(part.needs for part in parts)),
        verifiers=_union(part.verifiers for part in parts),
        scores=tuple(sorted(missing)),
        weights=_union(part.weights for part in parts),
        fan_out=None,
        logprobs=max((part.logprobs for part in parts), default=0),
        model=one_model(part.model for part in parts),
        engines=_union(part.engines for part in parts),
        embedders=_union(part.embedders for part in parts),
        compares=any(part.compares for part in parts),
        batch=smallest_batch(parts),
    )


def one_model(names: Iterable[str]) -> str:
    """Return the only model that parts were calibrated for; empty for any.

    Raises:
        PipelineError: They were calibrated for different ones.
    """
    known = sorted(set(names) - {""})
    if len(known) > 1:
        raise PipelineError(
            f"its parts were calibrated for different models, {known[0]} and {known[1]}; "
            "calibrate them for one"
        )
    return known[0] if known else ""


def reads(body: Pipeline) -> bool:
    """Return whether a pipeline within a node reads what the node sends it."""
    return bool(body.beginnings)


def _one(states: set[State]) -> State:
    known = states - {"any"}
    if len(known) > 1:
        raise PipelineError("finished and partial trajectories are mixed up in the node's body")
    return known.pop() if known else "any"


def _union(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in names for name in group))
