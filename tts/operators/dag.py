"""A model plans calls of tools, which run as a graph, each as soon as its inputs are there.

Sources: Kim et al. 2023, "An LLM Compiler for Parallel Function Calling", arXiv:2312.04511
(planner, tasks, joiner, plans anew); Qin et al. 2025, "Flash-Searcher", arXiv:2509.25301 (the graph
is changed while it runs, findings are summed up).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, PlainSerializer

from tts import graph_prompts
from tts.answers.exact import find_answer
from tts.operators._body import body_spec
from tts.operators._graph_run import GraphRun, Settings
from tts.operators._native_calls import RESERVED
from tts.operators._task_graph import TaskGraph
from tts.operators.base import OperatorModel, node
from tts.parts.build import part_of_field, part_to_mapping
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.tools.base import Tool
from tts.trajectories import to_trajectory
from tts.types import Completion, Trajectory

DEFAULT_TOOLS = ("calculator", "python", "solve")


def _open(values: Any) -> Any:
    """Return tools for their mappings or names; of one name there may be only one."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return values
    named = [{"name": value} if isinstance(value, str) else value for value in values]
    tools = [part_of_field("tool", value) for value in named]
    called = [tool.name for tool in tools if isinstance(tool, Tool)]
    if reserved := RESERVED & set(called):
        name = min(reserved)
        raise ValueError(f"no tool can be called {name!r}; give it another name by `called`")
    if twice := {name for name in called if called.count(name) > 1}:
        raise ValueError(f"two tools are called {min(twice)!r}; give one another name by `called`")
    return tuple(tools)


Tools = Annotated[
    tuple[InstanceOf[Tool], ...],
    BeforeValidator(_open),
    PlainSerializer(
        lambda tools: [part_to_mapping("tool", tool, tool.config) for tool in tools],
        return_type=list,
    ),
    Field(
        default_factory=lambda: DEFAULT_TOOLS,
        validate_default=True,
        min_length=1,
        description="what tasks may call, as names or as mappings {name: solve, engine: big}",
    ),
]


class Dag(OperatorModel):
    """Sends one trajectory: the joiner's answer, with the attempts behind the findings as parents.

    The planner's lines are tasks as soon as they are written. A task whose line cannot be used, or
    that fails, has its error as its finding; those that need it do not run. The joiner answers or,
    `max_replans` times, has the planner go on. With `reviews`, the planner also looks at the graph
    whenever all that ran when it last looked has ended, or something has failed, and may change
    what has not begun; nothing waits for it.
    """

    tools: Tools
    max_tasks: int = Field(64, ge=1, le=1_000, description="most tasks of all plans together")
    max_replans: int = Field(1, ge=0, le=16, description="most times that the joiner may ask anew")
    reviews: int = Field(0, ge=0, le=64, description="most looks at the graph while it runs")
    temperature: float = Field(
        0.0, ge=0, description="temperature of planner and joiner; tools have the preset's"
    )
    answer_tokens: int = Field(
        256, ge=1, description="tokens of the budget that are kept for the joiner"
    )
    observation_chars: int = Field(
        2_000, ge=40, description="most characters of one finding; longer ones lose their middle"
    )
    summarise_at: int | None = Field(
        None, ge=100, description="characters of findings that are summed up; never if none"
    )

    @property
    def spec(self) -> Spec:
        """A source of one finished trajectory; needs what the tools' pipelines need."""
        own = [tool.body for tool in self.tools if tool.body is not None and not tool.engine]
        others = [tool.body for tool in self.tools if tool.body is not None and tool.engine]
        inner = body_spec([*own, *others])
        named = tuple(tool.engine for tool in self.tools if tool.engine)
        return replace(
            inner,
            accepts=None,
            emits="finished",
            needs=body_spec(own).needs | {"own_prompts"},
            engines=tuple(dict.fromkeys((*named, *inner.engines))),
            fan_out=1,
            max_outputs=1,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Plan, work, join; again while the joiner asks for it."""
        tools: Mapping[str, Tool] = {tool.name: tool for tool in self.tools}
        settings = Settings(
            tools=tools,
            max_tasks=self.max_tasks,
            reviews=self.reviews,
            temperature=self.temperature,
            observation_chars=self.observation_chars,
            summarise_at=self.summarise_at,
        )
        order = context.arrivals(self.model_dump_json())
        graph = GraphRun(context, settings, TaskGraph(tools, self.max_tasks), order)
        thought = ""
        for left in range(self.max_replans, -1, -1):
            empty = graph_prompts.join_tasks(context.problem, "", may_replan=left > 0)
            with context.reserve(empty, n=1, max_tokens=self.answer_tokens) as room:
                await graph.work(thought)
                found = await graph.findings()
                room.give_back(room.n)
                prompt = graph_prompts.join_tasks(context.problem, found, may_replan=left > 0)
                reply = await graph.join(prompt)
            if reply is None:
                return
            action, inside = graph_prompts.parse_action(reply.text)
            if action != "replan" or left == 0:
                self._send(context, graph, reply, inside if action == "finish" else "", outlet)
                return
            thought = inside or graph_prompts.parse_thought(reply.text)

    def _send(
        self, context: Context, graph: GraphRun, reply: Completion, answer: str, outlet: Outlet
    ) -> None:
        found = [graph.graph.found[number] for number in sorted(graph.graph.found)]
        parents: tuple[Trajectory, ...] = tuple(o.trajectory for o in found if o.trajectory)
        seed = context.seed(f"join/{graph.plans}")
        made = to_trajectory(context, reply, seed=seed, parents=parents, index=0)
        if answer:
            is_math = context.problem.answer_type == "math"
            said = find_answer(answer, context.problem) or made.answer
            made = replace(made, answer=said or (answer if is_math else None))
        outlet.send(replace(made, usage=graph.usage))
        context.worked_off(graph.figures(made.id))


dag = node(Dag)
