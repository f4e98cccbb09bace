"""A checked graph of operators.

    pipeline = sample(n=8) >> score("prm") >> vote(weights="prm")

`>>` feeds the left side's ends into the right side's beginnings, `|` puts two graphs side by side.
A node that occurs on both sides of `|` stays one node, so that branches can share their source.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx

from tts.errors import CapabilityError, PipelineError
from tts.protocols import Engine, Operator, Spec, State, Verifier, VerifierSpec
from tts.types import Sampling


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An operator in its place; two nodes are the same only if they are one object.

    Attributes:
        operator: What it does.
        inputs: Nodes it reads, in order.
        name: As the user named it; empty for "the operator's name and ordinal".
    """

    operator: Operator
    inputs: tuple["Node", ...] = ()
    name: str = ""


class Pipeline:
    """Operators joined by streams; immutable.

    Args:
        nodes: In any order; the inputs of each must be among them.
        outputs: Nodes whose trajectories leave the pipeline; those that nobody reads, if None.

    Raises:
        PipelineError: Two nodes have the same name, or the graph cannot run (see `check`).
    """

    def __init__(self, nodes: Iterable[Node], outputs: Iterable[Node] | None = None) -> None:
        self._nodes = tuple(dict.fromkeys(nodes))
        read = {source for node in self._nodes for source in node.inputs}
        unread = (node for node in self._nodes if node not in read)
        self._outputs = tuple(dict.fromkeys(unread if outputs is None else outputs))
        self._names = _name_nodes(self._nodes)
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        for node in self._nodes:
            self.graph.add_node(self._names[node], node=node)
        for node in self._nodes:
            for source in node.inputs:
                self.graph.add_edge(self._names[source], self._names[node])

    @classmethod
    def of(cls, operator: Operator) -> "Pipeline":
        """Return a pipeline of one operator."""
        return cls([Node(operator)])

    def named(self, name: str) -> "Pipeline":
        """Name the last node, so that presets, traces and seeds call it so.

        Raises:
            PipelineError: The pipeline has several ends.
        """
        if len(self._outputs) != 1:
            raise PipelineError(f"cannot name {name!r}: the pipeline has {len(self._outputs)} ends")
        (last,) = self._outputs
        renamed = Node(last.operator, last.inputs, name)
        return Pipeline([renamed if node is last else node for node in self._nodes])

    def __rshift__(self, other: "Pipeline") -> "Pipeline":
        """Feed every end of this pipeline into every beginning of the other."""
        copies: dict[Node, Node] = {}
        for node in other._ordered():
            inputs = tuple(copies[source] for source in node.inputs) or self._outputs
            copies[node] = Node(node.operator, inputs, node.name)
        outputs = [copies[node] for node in other._outputs]
        return Pipeline([*self._nodes, *copies.values()], outputs)

    def __or__(self, other: "Pipeline") -> "Pipeline":
        """Put two pipelines side by side; nodes that both share stay shared."""
        return Pipeline([*self._nodes, *other._nodes], [*self._outputs, *other._outputs])

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        """Iterate over (name, node), every node after its inputs."""
        return ((self._names[node], node) for node in self._ordered())

    def name_of(self, node: Node) -> str:
        """Return a node's name in this pipeline."""
        return self._names[node]

    @property
    def sinks(self) -> tuple[str, ...]:
        """Names of the nodes whose trajectories leave the pipeline, in order."""
        return tuple(self._names[node] for node in self._outputs)

    def check(
        self,
        locate: Callable[[str], str] = lambda name: f"node {name!r}",
        *,
        is_body: bool = False,
    ) -> None:
        """Refuse a graph that cannot run, before a token is spent.

        Args:
            locate: Says where a node was defined, for error messages.
            is_body: It runs within a node, which feeds those that read and have no `from`.

        Raises:
            PipelineError: Empty, missing or superfluous inputs, finished and partial trajectories
                mixed up, scores that nobody makes, a vote that cannot know when it is settled.
        """
        if not self._nodes:
            raise PipelineError("a pipeline needs at least one node")
        bounds = self.max_inputs(None if is_body else 0)
        for name, node in self:
            problem = self._problem_with(node, bounds[name], is_body=is_body)
            if problem:
                raise PipelineError(f"{locate(name)}: {problem}")

    def check_engines(
        self, engines: Mapping[str, Engine], verifiers: Mapping[str, Verifier]
    ) -> None:
        """Refuse engines or verifiers that lack what a node needs.

        Args:
            engines: By name; the empty one is the run's own.
            verifiers: By name.

        Raises:
            CapabilityError: An engine is missing or lacks a capability, or runs another model than
                a node was calibrated for.
            PipelineError: A node names an unknown verifier, or sums scores that are no
                probabilities.
        """
        own = engines[""].info.name
        for name, node in self:
            spec = node.operator.spec
            asked = _with_those_they_ask(spec.verifiers, verifiers)
            needs = _needs_by_engine(spec, [verifiers[v].spec for v in asked if v in verifiers])
            if absent := needs.keys() - engines.keys():
                raise CapabilityError(
                    f"node {name!r} needs the engine {min(absent)!r}; this run has "
                    f"{', '.join(sorted(engines.keys() - {''})) or 'no other'}; say what it is "
                    f"with --engine-for {min(absent)}=MODEL or Runtime(engines=...)"
                )
            for chosen, wanted in ((engines[e], needs[e]) for e in sorted(needs)):
                if missing := chosen.capabilities.missing(wanted):
                    hint = "; MODEL?pooling names one that does" if "embeddings" in missing else ""
                    raise CapabilityError(
                        f"node {name!r} needs {', '.join(missing)}, which {type(chosen).__name__} "
                        f"({chosen.info.name}) does not offer{hint}"
                    )
            if spec.model not in ("", own):
                raise CapabilityError(
                    f"node {name!r}: its policy was calibrated for {spec.model}, this is "
                    f"{own}; run `tts calibrate` on this model"
                )
            if unknown := set(asked) - set(verifiers):
                raise PipelineError(
                    f"node {name!r} needs the verifier {min(unknown)!r}; "
                    f"this run has {', '.join(sorted(verifiers)) or 'none'}"
                )
            for weight in spec.weights:
                if weight in verifiers and not _can_weigh(verifiers[weight], spec):
                    raise PipelineError(
                        f"node {name!r} sums the scores of {weight!r}, which are no probabilities; "
                        "calibrate it, or choose a verifier whose scores lie in [0, 1]"
                    )

    def reporting(
        self, sampling: Sampling, engines: Mapping[str, Engine], verifiers: Mapping[str, Verifier]
    ) -> Sampling:
        """Return a sampling profile that reports what the nodes read of each token.

        Certainties take the place of log-probabilities where all engines can tell them: on the
        embedded one they cost next to nothing, and 20 candidates half the pace.
        """
        specs = [node.operator.spec for _, node in self]
        names = _with_those_they_ask((v for spec in specs for v in spec.verifiers), verifiers)
        asked = [verifiers[name].spec for name in names]
        can_tell = {engines[n].capabilities.certainties for n in self.engines(verifiers)}
        is_estimated = False in can_tell
        wanted = [spec.logprobs for spec in specs]
        wanted += [spec.logprobs for spec in asked if is_estimated or not spec.certainties]
        return replace(
            sampling,
            logprobs=max([sampling.logprobs or 0, *wanted]) or sampling.logprobs,
            certainties=sampling.certainties
            or (True in can_tell and any(spec.certainties for spec in asked)),
        )

    def engines(self, verifiers: Mapping[str, Verifier]) -> set[str]:
        """Return the names of the engines that it asks; the empty one is the run's own.

        Args:
            verifiers: By name; one that is missing counts as one that asks none.
        """
        names = {""}
        for _, node in self:
            spec = node.operator.spec
            asked = _with_those_they_ask(spec.verifiers, verifiers)
            names |= {*spec.engines, *spec.embedders, *_judges(asked, verifiers)}
        return names

    def max_inputs(self, fed: int | None = 0) -> dict[str, int | None]:
        """Return the most trajectories that each node can read; None where unknown.

        Args:
            fed: Most that come from outside to a node without a `from`.
        """
        incoming: dict[Node, int | None] = {}
        outgoing: dict[Node, int | None] = {}
        for node in self._ordered():
            is_fed = not node.inputs and node.operator.spec.accepts is not None
            counts = [fed] if is_fed else [outgoing[source] for source in node.inputs]
            incoming[node] = _total(counts)
            outgoing[node] = _most_outputs(node, incoming[node])
        return {self._names[node]: count for node, count in incoming.items()}

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """Return the graph as a preset's `pipeline:` block writes it."""
        return {name: self._node_mapping(node) for name, node in self}

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart."""
        place = {name: f"n{index}" for index, (name, _) in enumerate(self)}
        lines = ["flowchart LR"]
        for name, node in self:
            lines.append(f'  {place[name]}["{_label(name, node.operator)}"]')
        for source, target in self.graph.edges:
            lines.append(f"  {place[source]} --> {place[target]}")
        return "\n".join(lines)

    def _node_mapping(self, node: Node) -> dict[str, Any]:
        sources = [self._names[source] for source in node.inputs]
        entry: dict[str, Any] = {"operator": operator_name(node.operator)}
        if sources:
            entry["from"] = sources[0] if len(sources) == 1 else sources
        return {**entry, **operator_parameters(node.operator)}

    def _ordered(self) -> list[Node]:
        order = nx.lexicographical_topological_sort(
            self.graph, key={self._names[n]: i for i, n in enumerate(self._nodes)}.__getitem__
        )
        return [self.graph.nodes[name]["node"] for name in order]

    def _problem_with(self, node: Node, bound: int | None, *, is_body: bool) -> str:
        spec = node.operator.spec
        if spec.accepts is None:
            return "it reads no trajectories, so it takes no `from`" if node.inputs else ""
        if not node.inputs and not is_body:
            return "it reads trajectories, so it needs a `from`"
        for source in node.inputs:
            state = self._state(source)
            if "any" not in (state, spec.accepts) and state != spec.accepts:
                return (
                    f"it reads {spec.accepts} trajectories, {self._names[source]!r} sends {state}"
                )
        missing = set(spec.scores) - self._scores_before(node)
        if missing and not is_body:  # else the node around it asks for them
            return f"it needs the score {min(missing)!r}, which no node before it makes"
        if spec.bounded and bound is None:
            return "it cannot know how many trajectories come in; use `stop: never`"
        return ""

    def _state(self, node: Node) -> State:
        if node.operator.spec.emits != "any":
            return node.operator.spec.emits
        states = {self._state(source) for source in node.inputs}
        return states.pop() if len(states) == 1 else "any"

    def _scores_before(self, node: Node) -> set[str]:
        before = nx.ancestors(self.graph, self._names[node])
        return {
            score
            for name in before
            for score in self.graph.nodes[name]["node"].operator.spec.verifiers
        }


def operator_name(operator: Operator) -> str:
    """Return the registered name of an operator: the name of its module."""
    return type(operator).__module__.rpartition(".")[2]


def operator_parameters(operator: Operator) -> Mapping[str, Any]:
    """Return the parameters of an operator that differ from their defaults."""
    dump: Callable[..., Mapping[str, Any]] = getattr(operator, "model_dump", lambda **_: {})
    return dump(mode="json", exclude_defaults=True)


def _label(name: str, operator: Operator) -> str:
    kind = operator_name(operator)
    title = name if name == kind else f"{name}: {kind}"
    bodies: tuple[str, ...] = getattr(operator, "bodies", ())
    parameters = (
        f"{key}={', '.join(value) if key in bodies else value}"
        for key, value in operator_parameters(operator).items()
    )
    return "<br/>".join((title, *parameters)).replace('"', "#quot;")


def _with_those_they_ask(names: Iterable[str], verifiers: Mapping[str, Verifier]) -> list[str]:
    """Return verifiers' names and, after them, those of the verifiers that they ask."""
    asked = list(dict.fromkeys(names))
    for name in asked:
        more = verifiers[name].spec.verifiers if name in verifiers else ()
        asked += [other for other in more if other not in asked]
    return asked


def _judges(names: Iterable[str], verifiers: Mapping[str, Verifier]) -> set[str]:
    """Return the engines that verifiers ask."""
    return {verifiers[name].spec.engine for name in names if name in verifiers}


def _needs_by_engine(spec: Spec, verifiers: Iterable[VerifierSpec]) -> dict[str, frozenset[str]]:
    """Return the capabilities that each engine must have; the empty name is the run's own."""
    needs = {**dict.fromkeys(spec.engines, frozenset[str]()), "": spec.needs}
    for embedder in spec.embedders:
        needs[embedder] = needs.get(embedder, frozenset()) | {"embeddings"}
    for verifier in verifiers:
        needs[verifier.engine] = needs.get(verifier.engine, frozenset()) | verifier.needs
    return needs


def _can_weigh(verifier: Verifier, spec: Spec) -> bool:
    """Whether a vote may sum this verifier's values; only in [0, 1] can it know it is settled."""
    return verifier.spec.unit_interval or (verifier.spec.summable and not spec.bounded)


def _name_nodes(nodes: tuple[Node, ...]) -> dict[Node, str]:
    names: dict[Node, str] = {}
    for node in nodes:
        if missing := [source for source in node.inputs if source not in nodes]:
            raise PipelineError(
                f"an input ({operator_name(missing[0].operator)}) is not in the graph"
            )
        if node.name:
            if node.name in names.values():
                raise PipelineError(f"two nodes are named {node.name!r}")
            names[node] = node.name
    for node in nodes:
        if node not in names:
            names[node] = _free_name(operator_name(node.operator), set(names.values()))
    return names


def _free_name(base: str, taken: set[str]) -> str:
    name, ordinal = base, 1
    while name in taken:
        ordinal += 1
        name = f"{base}_{ordinal}"
    return name


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _most_outputs(node: Node, incoming: int | None) -> int | None:
    spec = node.operator.spec
    if spec.max_outputs is not None:
        return spec.max_outputs
    if spec.accepts is None:
        return spec.fan_out
    if spec.fan_out is None or incoming is None:
        return None
    return spec.fan_out * incoming
