"""One graph of tasks as it runs: each starts as soon as what it needs is there.

What a plan says is read line by line while it is written, so that the first tasks run beside the
planner. An engine with tool calls of its own plans by them, in one reply; one that turns out to
have none is asked in words from then on. A task that fails is a finding like any other. Where
reviews may change the graph, what is changed depends on what has been found by then; so the order
in which findings and reviews are dealt with is in the run's log, and a resumed run keeps to it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tts import graph_prompts, prompts
from tts.errors import CapabilityError, innermost, survivable
from tts.operators._native_calls import (
    has_calls,
    plan_fields,
    plan_prompt,
    read_calls,
    review_fields,
)
from tts.operators._plainly import without_thinking
from tts.operators._task_graph import (
    END_OF_PLAN,
    JOIN,
    Observation,
    Task,
    TaskGraph,
    clip,
    parse_task,
    read_changes,
)
from tts.protocols import Arrivals, Context
from tts.tools.base import Tool
from tts.trajectories import ask
from tts.types import Completion, GraphFigures, Prompt, Sampling, Usage

_LINES_PER_TASK = 4  # of a plan, blank ones and remarks included


@dataclass(frozen=True, slots=True)
class Settings:
    """What a graph may hold and do; see `tts.operators.dag`."""

    tools: Mapping[str, Tool]
    max_tasks: int
    reviews: int
    temperature: float
    observation_chars: int
    summarise_at: int | None


@dataclass(slots=True)
class GraphRun:
    """Drives one graph through its plans.

    Attributes:
        context: The node's.
        settings: What may be done.
        graph: All tasks, those of earlier plans included.
        order: In which what comes is dealt with.
        usage: Of planner, joiner, reviews and summaries.
        reviews: So far.
        plans: So far.
    """

    context: Context
    settings: Settings
    graph: TaskGraph
    order: Arrivals
    usage: Usage = field(default_factory=Usage)
    reviews: int = 0
    plans: int = 0
    _summary: str = ""
    _summarised: frozenset[int] = frozenset()
    _group: asyncio.TaskGroup | None = None
    _slots: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _arrived: dict[str, Callable[[], None]] = field(default_factory=dict)
    _wave: frozenset[int] = frozenset()
    _going: int = 0  # planner, tasks and reviews that run
    _is_planned: bool = False
    _in_words: bool = False  # an engine that should call tools did not
    _is_reviewing: bool = False
    _is_due: bool = False  # a review, since something has failed

    async def work(self, thought: str) -> None:
        """Plan, and work the plan off.

        Args:
            thought: Why the last plan was not enough; empty for the first.

        Raises:
            EngineError: The engine died.
        """
        self.plans += 1
        self._is_planned = False
        if not self._slots:
            self._slots = {
                name: asyncio.Semaphore(tool.config.parallel)
                for name, tool in self.settings.tools.items()
            }
        try:
            async with asyncio.TaskGroup() as self._group:
                self._begin(self._plan(thought))
        except ExceptionGroup as errors:
            raise innermost(errors) from None

    async def findings(self) -> str:
        """Return what was found, as prompts show it; summed up where it has become too much."""
        limit, found = self.settings.summarise_at, frozenset(self.graph.found)
        fresh = {n: o.text for n, o in self.graph.found.items() if n not in self._summarised}
        shown = "\n".join(filter(None, (self._summary, self.graph.lines(shown=fresh))))
        if limit is None or len(shown) <= limit or not fresh:
            return shown
        prompt = graph_prompts.summarise_tasks(self.context.problem, shown)
        notes = await self.ask(prompt, f"summary {len(found)}")
        text = "" if notes is None else prompts.without_thought(notes.text).strip()
        if not text:
            return shown
        self._summary, self._summarised = text, found
        return text

    async def ask(self, prompt: Prompt, label: str) -> Completion | None:
        """Return what planner or joiner say; None when the budget or the context leaves nothing."""
        return await self._draw(prompt, label, self._sampling)

    async def join(self, prompt: Prompt) -> Completion | None:
        """Return what the joiner says; None when the budget or the context leaves nothing.

        A small one goes on with observations of its own. They end what it says, but where it may
        think: a thought may quote them.
        """
        sampling = self._sampling
        if not self.context.engine.capabilities.thoughts:
            sampling = replace(sampling, stop=(*sampling.stop, graph_prompts.INVENTED))
        return await self._draw(prompt, "join", sampling)

    def figures(self, trajectory: str) -> GraphFigures:
        """Return what was measured, given the id of what came of it."""
        ran = {n: self.graph.found[n] for n in self.graph.started & self.graph.found.keys()}
        begin = min((o.begin for o in ran.values()), default=0.0)
        end = max((o.end for o in ran.values()), default=0.0)
        chain = self.graph.longest({n: float(o.tokens) for n, o in ran.items()})
        return GraphFigures(
            trajectory=trajectory,
            tasks=len(self.graph.tasks),
            failed=sum(o.is_error for o in self.graph.found.values()),
            changed=self.graph.dropped,
            plans=self.plans,
            reviews=self.reviews,
            seconds=end - begin,
            task_seconds=sum(o.seconds for o in ran.values()),
            critical_seconds=self.graph.longest({n: o.seconds for n, o in ran.items()}),
            sequential_tokens=int(chain) + (self.usage.generated_tokens or 0),
        )

    @property
    def _sampling(self) -> Sampling:
        return replace(self.context.sampling, temperature=self.settings.temperature)

    @property
    def _tool_lines(self) -> dict[str, str]:
        return {name: tool.line for name, tool in self.settings.tools.items()}

    async def _draw(self, prompt: Prompt, label: str, sampling: Sampling) -> Completion | None:
        seed = self.context.seed(f"{label}/{self.plans}")
        completion = await ask(self.context, prompt, seed=seed, sampling=sampling)
        if completion is None:
            return None
        self.usage = self.usage + completion.usage
        if completion.finish_reason == "error":
            self.context.warn(f"a planner failed: {completion.error}")
            return None
        return completion

    async def _plan(self, thought: str) -> None:
        async for task in self._tasks(await self.findings(), thought):
            self._note(task.number, "add", self.graph.add(task))
            self._start_ready()
        self._arrive(f"plan {self.plans}", self._planned)

    async def _tasks(self, done: str, thought: str) -> AsyncIterator[Task]:
        """Yield a plan's tasks as they come."""
        problem, tools, first = self.context.problem, self.settings.tools, self.graph.next_number
        prompt = plan_prompt(problem, tools, first=first, done=done, thought=thought)
        said = await self._calls(prompt, plan_fields(tools), "calls")
        if said is not None:
            for one in read_calls(said, tools, first=first):
                if isinstance(one, Task):
                    yield one
            return
        prompt = graph_prompts.plan_tasks(
            problem, self._tool_lines, first=first, end=END_OF_PLAN, done=done, thought=thought
        )
        # A thought's lines might pass for tasks.
        async for line in self._lines(without_thinking(prompt, self.context.engine)):
            task = parse_task(line)
            if END_OF_PLAN in line or (task is not None and task.tool == JOIN):
                return
            if task is not None:
                yield task

    async def _calls(self, prompt: Prompt, fields: Mapping[str, Any], label: str) -> str | None:
        """Return a reply that calls tools; None where the engine has no such calls, or made none.

        Args:
            prompt: What is asked.
            fields: Of the request, which show the tools.
            label: Of the request.
        """
        if self._in_words or not self.context.engine.capabilities.tool_calls:
            return None
        sampling = self._sampling
        sampling = replace(sampling, extra_body={**sampling.extra_body, **fields})
        why = "no tool was called"
        try:
            reply = await self._draw(prompt, label, sampling)
        except CapabilityError as error:
            why = str(error)
        else:
            if reply is None:
                return None
            if has_calls(reply.text):
                return reply.text
        self._in_words = True
        self.context.warn(f"the plan is asked for in words: {why}")
        return None

    async def _lines(self, prompt: Prompt) -> AsyncIterator[str]:
        """Yield a plan's lines as they are written, where the engine can go on from token ids."""
        sampling = self._sampling
        if not self.context.engine.capabilities.token_ids:
            whole = await self.ask(prompt, "plan")
            for line in prompts.without_thought(whole.text).splitlines() if whole else ():
                yield line
            return
        left = sampling.max_tokens
        by_line = replace(sampling, stop=(*sampling.stop, "\n"))
        for number in range(_LINES_PER_TASK * self.settings.max_tasks):
            drawn = await self._draw(prompt, f"line {number}", replace(by_line, max_tokens=left))
            if drawn is None:
                return
            yield drawn.text
            left -= len(drawn.token_ids)
            if drawn.stop_string != "\n" or left < 1:
                return
            prompt = Prompt(token_ids=(*drawn.prompt_token_ids, *drawn.token_ids))

    def _planned(self) -> None:
        self._is_planned = True
        self._wave = self.graph.running

    def _start_ready(self) -> None:
        for task in self.graph.ready():
            self.graph.started.add(task.number)
            self._begin(self._run(task))

    async def _run(self, task: Task) -> None:
        observation = await self._observe(task)
        self._arrive(f"task {task.number}", partial(self._settle, task, observation))

    async def _observe(self, task: Task) -> Observation:
        tool, clock = self.settings.tools[task.tool], asyncio.get_running_loop()
        arguments, limit = self.graph.arguments(task), tool.config.seconds
        most = self.settings.observation_chars
        async with self._slots[tool.name]:
            timer, finish = asyncio.timeout(limit), partial(Observation, begin=clock.time())
            try:
                async with timer:
                    found = await tool.call(self.context, arguments, task=str(task.number))
                text, trajectory = clip(found.text, most), found.trajectory
            # A tool is other people's code, and its failure concerns its own task.
            except Exception as raised:
                error = survivable(raised)
                said = str(error) or type(error).__name__
                late = f"it gave nothing within {limit:g} seconds"
                text = clip(f"error: {late if timer.expired() else said}", most)
                return finish(text, is_error=True, end=clock.time())
            return finish(text, end=clock.time(), trajectory=trajectory)

    def _settle(self, task: Task, observation: Observation) -> None:
        self.graph.settle(task.number, observation)
        self._is_due = self._is_due or observation.is_error
        self.context.emit(
            "task",
            number=task.number,
            call=clip(task.text, 200),
            needs=sorted(task.needs),
            found=clip(observation.text, 200),
            seconds=observation.seconds,
            is_error=observation.is_error,
        )
        self._start_ready()

    def _review_if_due(self) -> None:
        """Begin a review once all have ended that ran at the last one, or one has failed."""
        is_over = self._wave <= self.graph.found.keys()
        is_allowed = self._is_planned and not self._is_reviewing
        if not is_allowed or self.reviews >= self.settings.reviews or not self.graph.found:
            return
        if is_over or self._is_due:
            self.reviews += 1
            self._is_reviewing, self._is_due = True, False
            self._begin(self._review(self.reviews))

    async def _review(self, number: int) -> None:
        first, others = self.graph.next_number, self.graph.lines(shown={}, status=True)
        shown = "\n".join(filter(None, (await self.findings(), others)))
        changes = await self._changes(shown, number, first)
        self._arrive(f"review {number}", partial(self._change, changes))

    async def _changes(self, shown: str, number: int, first: int) -> list[Task | int]:
        """Return the tasks that a look at the graph adds or rewrites, and the numbers it drops."""
        problem, tools = self.context.problem, self.settings.tools
        prompt = graph_prompts.review_by_calls(problem, shown, first=first)
        said = await self._calls(prompt, review_fields(tools), f"calls {number}")
        if said is not None:
            return read_calls(said, tools, first=first)
        prompt = graph_prompts.review_tasks(problem, shown, self._tool_lines, first=first)
        plain = without_thinking(prompt, self.context.engine)
        reply = await self.ask(plain, f"review {number}")
        text = "" if reply is None else prompts.without_thought(reply.text)
        return read_changes(text)

    def _change(self, changes: list[Task | int]) -> None:
        """Take over the changes of a review that hold; each by itself."""
        self._is_reviewing = False
        is_changed = False
        for change in changes:
            if isinstance(change, Task):
                wrong = self.graph.change(change)
                self._note(change.number, "change", wrong)
            else:
                wrong = self.graph.drop(change)
                self._note(change, "drop", wrong)
            is_changed = is_changed or not wrong
        self._start_ready()
        self._wave = self.graph.running
        if not is_changed and not self._wave:
            self._is_planned = False  # all is done, and nothing is to be added

    def _note(self, number: int, what: str, wrong: str) -> None:
        self.context.emit("plan", number=number, what=what, refused=wrong)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None
        self._going += 1
        self._group.create_task(work)

    def _arrive(self, name: str, deal: Callable[[], None]) -> None:
        """Deal with what has come and, in a resumed run, in the order in which it had come."""
        self._arrived[name] = deal
        self._going -= 1
        order = self.order
        while self._arrived:
            name = order.expected
            if name not in self._arrived:
                if name and self._going:
                    return
                name = next(iter(self._arrived))
            order.note(name)
            self._arrived.pop(name)()
            self._review_if_due()
