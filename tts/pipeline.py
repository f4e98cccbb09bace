"""A checked graph of operators.

    pipeline = sample(n=8) >> score(verifier="prm") >> vote(weights="prm")

`>>` feeds the left side's ends into the right side's beginnings, `|` puts two graphs side by side.
A node that occurs on both sides of `|` stays one node, so that branches can share their source.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tts.engine_needs import (
    check_node,
    engines_asked,
    reporting,
    states_asked,
    verifiers_asked,
)
from tts.errors import CapabilityError, PipelineError, optional_import
from tts.parts import catalog
from tts.protocols import Engine, Operator, Spec, State, Verifier, check_team_request
from tts.types import Sampling, StateSpec
from tts.types.card import shorten

if TYPE_CHECKING:
    import networkx as nx


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
        self._order = _in_order(self._nodes)

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
        for node in other._order:
            inputs = tuple(copies[source] for source in node.inputs) or self._outputs
            copies[node] = Node(node.operator, inputs, node.name)
        outputs = [copies[node] for node in other._outputs]
        return Pipeline([*self._nodes, *copies.values()], outputs)

    def __or__(self, other: "Pipeline") -> "Pipeline":
        """Put two pipelines side by side; nodes that both share stay shared."""
        return Pipeline([*self._nodes, *other._nodes], [*self._outputs, *other._outputs])

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        """Iterate over (name, node), every node after its inputs."""
        return ((self._names[node], node) for node in self._order)

    def name_of(self, node: Node) -> str:
        """Return a node's name in this pipeline."""
        return self._names[node]

    @property
    def sinks(self) -> tuple[str, ...]:
        """Names of the nodes whose trajectories leave the pipeline, in order."""
        return tuple(self._names[node] for node in self._outputs)

    @property
    def ends(self) -> tuple[Node, ...]:
        """Nodes whose trajectories leave the pipeline, in order."""
        return self._outputs

    @property
    def beginnings(self) -> tuple[Node, ...]:
        """Nodes that read trajectories and have no `from`: the node around them feeds them."""
        return tuple(node for node in self._order if _is_beginning(node))

    @cached_property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Names of source and reader of every edge, in the order of the nodes."""
        return tuple(
            (self._names[source], self._names[reader])
            for source in self._nodes
            for reader in self._nodes
            if source in reader.inputs
        )

    @cached_property
    def graph(self) -> "nx.DiGraph[str]":
        """The graph for networkx: nodes by name, each with its `node`.

        Raises:
            MissingExtraError: networkx is not installed.
        """
        with optional_import("a pipeline's `graph`"):
            networkx = import_module("networkx")  # takes 0.2 s, and only this needs it
        graph: nx.DiGraph[str] = networkx.DiGraph()
        for name, node in self:
            graph.add_node(name, node=node)
        graph.add_edges_from(self.edges)
        return graph

    @cached_property
    def states(self) -> Mapping[Node, State]:
        """State of the trajectories that each node sends; "any" where it is not known."""
        states: dict[Node, State] = {}
        for node in self._order:
            before = {states[source] for source in node.inputs}
            emits = node.operator.spec.emits
            states[node] = emits if emits != "any" or len(before) != 1 else before.pop()
        return states

    @cached_property
    def unmade_scores(self) -> Mapping[Node, frozenset[str]]:
        """Scores that each node reads and that no node before it makes."""
        made: dict[Node, frozenset[str]] = {}
        unmade: dict[Node, frozenset[str]] = {}
        for node in self._order:
            spec = node.operator.spec
            before = frozenset[str]().union(*(made[source] for source in node.inputs))
            unmade[node] = frozenset(spec.scores) - before
            made[node] = before | frozenset(spec.verifiers)
        return unmade

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
        for name, node in self:
            try:
                check_node(node.operator.spec, engines, verifiers)
            except (CapabilityError, PipelineError) as error:
                raise type(error)(f"node {name!r} {error}") from None

    def check_sampling(self, sampling: Sampling, states: StateSpec | None = None) -> None:
        """Refuse to ask of a node's teams what no engine reports or does for one.

        Args:
            sampling: The profile that the nodes draw with.
            states: Hidden states that are to come with completions; None for none.

        Raises:
            CapabilityError: A node has teams write, and something is asked that they do not have.
        """
        if any("teams" in node.operator.spec.needs for _, node in self):
            check_team_request(sampling, states)

    def reporting(
        self, sampling: Sampling, engines: Mapping[str, Engine], verifiers: Mapping[str, Verifier]
    ) -> Sampling:
        """Return a sampling profile that reports what the nodes read of each token.

        Certainties take the place of log-probabilities where all engines can tell them: on the
        embedded one they cost next to nothing, and 20 candidates half the pace.
        """
        specs = [node.operator.spec for _, node in self]
        return reporting(sampling, specs, engines, verifiers)

    def engines(self, verifiers: Mapping[str, Verifier]) -> set[str]:
        """Return the names of the engines that it asks; the empty one is the run's own.

        Args:
            verifiers: By name; one that is missing counts as one that asks none.
        """
        return engines_asked((node.operator.spec for _, node in self), verifiers)

    @property
    def compares(self) -> bool:
        """Whether a node counts equal answers, which texts without an announced one are not."""
        return any(node.operator.spec.compares for _, node in self)

    @property
    def batch(self) -> int:
        """Problems of a run that begin together, as `Spec.batch`; 0 where they may all."""
        return smallest_batch(node.operator.spec for _, node in self)

    def hidden_states(self, verifiers: Mapping[str, Verifier]) -> StateSpec | None:
        """Return the hidden states that its verifiers read of the policy's completions.

        Args:
            verifiers: By name; one that is missing counts as one that reads none.
        """
        return states_asked((node.operator.spec for _, node in self), verifiers)

    def verifiers(self, verifiers: Mapping[str, Verifier]) -> list[str]:
        """Return the names of the verifiers that it asks, and of those that they ask in turn.

        Args:
            verifiers: By name; one that is missing counts as one that asks none.
        """
        return verifiers_asked((node.operator.spec for _, node in self), verifiers)

    def max_inputs(self, fed: int | None = 0) -> dict[str, int | None]:
        """Return the most trajectories that each node can read; None where unknown.

        Args:
            fed: Most that come from outside to a node without a `from`.
        """
        incoming: dict[Node, int | None] = {}
        outgoing: dict[Node, int | None] = {}
        for node in self._order:
            counts = [fed] if _is_beginning(node) else [outgoing[source] for source in node.inputs]
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
        for source, target in self.edges:
            lines.append(f"  {place[source]} --> {place[target]}")
        return "\n".join(lines)

    def _node_mapping(self, node: Node) -> dict[str, Any]:
        sources = [self._names[source] for source in node.inputs]
        entry: dict[str, Any] = {"operator": _registered_name(node.operator)}
        if sources:
            entry["from"] = sources[0] if len(sources) == 1 else sources
        return {**entry, **operator_parameters(node.operator)}

    def _problem_with(self, node: Node, bound: int | None, *, is_body: bool) -> str:
        spec = node.operator.spec
        if spec.accepts is None:
            return "it reads no trajectories, so it takes no `from`" if node.inputs else ""
        if not node.inputs and not is_body:
            return "it reads trajectories, so it needs a `from`"
        for source in node.inputs:
            state = self.states[source]
            if "any" not in (state, spec.accepts) and state != spec.accepts:
                return (
                    f"it reads {spec.accepts} trajectories, {self._names[source]!r} sends {state}"
                )
        missing = self.unmade_scores[node]
        if missing and not is_body:  # else the node around it asks for them
            return f"it needs the score {min(missing)!r}, which no node before it makes"
        if spec.bounded and bound is None:
            return "it cannot know how many trajectories come in; use `stop: never`"
        return ""


def smallest_batch(specs: Iterable[Spec]) -> int:
    """Return the smallest batch that nodes ask for; 0 where none of them does."""
    return min((spec.batch for spec in specs if spec.batch), default=0)


def operator_name(operator: Operator) -> str:
    """Return the registered name of an operator: the name of its module."""
    return type(operator).__module__.rpartition(".")[2]


def _registered_name(operator: Operator) -> str:
    """Return what a preset calls an operator; that of a plug-in is its dotted path."""
    return catalog.name_of("operator", type(operator).__module__)


def operator_parameters(operator: Operator) -> Mapping[str, Any]:
    """Return the parameters of an operator that differ from their defaults."""
    dump: Callable[..., Mapping[str, Any]] = getattr(operator, "model_dump", lambda **_: {})
    return dump(mode="json", exclude_defaults=True)


def _label(name: str, operator: Operator) -> str:
    kind = operator_name(operator)
    title = name if name == kind else f"{name}: {kind}"
    bodies: tuple[str, ...] = getattr(operator, "bodies", ())
    lists = {body.partition(".")[0] for body in bodies if "." in body}
    shown = operator_parameters(operator).items()
    parameters = (
        f"{key}={', '.join(value) if key in bodies else len(value) if key in lists else value}"
        for key, value in shown
    )
    return "<br/>".join((title, *map(shorten, parameters))).replace('"', "#quot;")


def _is_beginning(node: Node) -> bool:
    return not node.inputs and node.operator.spec.accepts is not None


def _in_order(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return every node after its inputs, and otherwise as they are given."""
    place = {node: index for index, node in enumerate(nodes)}
    waits_for = {node: len(set(node.inputs)) for node in nodes}
    ready = [place[node] for node in nodes if not node.inputs]  # ascending, so already a heap
    order: list[Node] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        order.append(node)
        for reader in nodes:
            if node in reader.inputs:
                waits_for[reader] -= 1
                if not waits_for[reader]:
                    heapq.heappush(ready, place[reader])
    return tuple(order)


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
