"""One runtime behind all requests: which presets it carries, what a request becomes, who pays."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Self

from tts.budget import to_budget
from tts.errors import (
    BudgetError,
    EngineError,
    InputError,
    PresetError,
    RefusedError,
    TTSError,
    ends_run,
)
from tts.operators.sample import sample
from tts.parts import catalog
from tts.presets.load import Preset, load_preset
from tts.protocols import Engine, Watcher
from tts.runtime.checks import check_budget
from tts.runtime.job import Job
from tts.runtime.ledger import MIN_TOKENS, Ledger, Reservation
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime as Core
from tts.server.asked import Asked
from tts.server.keys import Client, Clients
from tts.server.meters import Meters
from tts.session.runtime import Runtime
from tts.session.verifiers import named_verifiers
from tts.types import Budget, PromptOptions, Result, Sampling

DEFAULT_MAX_CONCURRENCY = 256
_MOST = Budget(calls=4096)  # of a preset: one request must not fill the queue for hours
_MAX_TOKENS = 2048  # where neither the client nor the engine knows
_PRESETS_REMEMBERED = 256
_FILE = re.compile(r"\.ya?ml\b")
_FORMS = frozenset({"tools", "response_format", "structured_outputs"})
_HELD = frozenset({"sample", "vote", "score", "select", "prune", "allocate"})


class Busy(Exception):
    """There is no room now.

    Attributes:
        seconds: After which it is worth asking again.
        code: Why, in one word.
    """

    def __init__(self, message: str, *, seconds: float = 1.0, code: str = "server_busy") -> None:
        super().__init__(message)
        self.seconds = seconds
        self.code = code


class NoSuchModel(InputError):
    """A request names a model that is not served."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A request that can be run.

    Attributes:
        asked: What it asks for.
        job: What that is to the runtime.
        is_plain: It draws plain samples, without a preset.
        has_writer: What is written last is what is returned, so that it can be read along.
    """

    asked: Asked
    job: Job
    is_plain: bool
    has_writer: bool


class Service:
    """Solves requests on one runtime; made by `Service.opened`.

    Args:
        core: Runs jobs.
        presets: Those that the engine can carry, by what they were loaded from.
        clients: Who may ask.
        max_concurrency: Most requests under way.
        budget: Hard limits for each request.

    Attributes:
        model: Name of the engine's own model, which stands for one plain sample.
        presets: By name.
        meters: What has happened so far.
        failure: Of the engine at the last request; None where it has answered.
        is_ending: Whether the server takes no more requests.
    """

    def __init__(
        self,
        core: Core,
        presets: Mapping[str, Preset],
        *,
        clients: Clients,
        max_concurrency: int,
        budget: Budget,
    ) -> None:
        self.model = core.engine.info.name
        self.presets = {preset.name: preset for preset in presets.values()}
        self._sources = {preset.name: source for source, preset in presets.items()}
        self.clients = clients
        self.meters = Meters(core.engine.kv_usage)
        self.failure: EngineError | None = None
        self.is_ending = False
        self._core = core
        self._max_concurrency = max_concurrency
        self._budget = budget
        self._in_flight = 0
        self._is_over = False
        self._accounts = {c: Ledger(c.budget, parent=core.ledger) for c in clients.all}
        self._verifiers = named_verifiers(p.pipeline for p in self.presets.values())
        self._load = lru_cache(maxsize=_PRESETS_REMEMBERED)(self._loaded)
        self._plain = lru_cache(maxsize=_PRESETS_REMEMBERED)(_plain_samples)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        runtime: Runtime,
        names: Sequence[str] = (),
        *,
        clients: Clients,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        budget: Budget | None = None,
    ) -> AsyncIterator[Self]:
        """Load the engine and all that the presets ask; gives the service, and closes all.

        Args:
            runtime: Not yet used; it is closed at the end.
            names: Presets, or their files; none for all that ship with us and can be carried.
            clients: Who may ask.
            max_concurrency: Most requests under way.
            budget: Hard limits for each request.

        Raises:
            InputError: A preset that is named cannot be used.
            EngineError: A model cannot be loaded, or lacks what a preset needs.
        """
        async with runtime:
            presets = dict(_carried(runtime, names))
            async with runtime.serving([one.pipeline for one in presets.values()]) as core:
                for client in clients.all:
                    _check_budget(client, core.engine)
                able = {
                    source: preset
                    for source, preset in presets.items()
                    if _is_able(core, preset, bool(names))
                }
                yield cls(
                    core,
                    able,
                    clients=clients,
                    max_concurrency=max_concurrency,
                    budget=budget or Budget(),
                )

    @property
    def engine(self) -> Engine:
        """What draws samples."""
        return self._core.engine

    def plan(self, asked: Asked) -> Planned:
        """Return what a request becomes; nothing is spent yet.

        Raises:
            InputError: It cannot be run; the message says what to change.
            EngineError: The engine lacks what it needs.
        """
        extension = asked.extension
        name = extension.preset or asked.model
        if asked.model not in (self.model, *self.presets):
            raise self._no_such(asked.model)
        is_plain = name == self.model
        if is_plain:
            preset = self._plain(self.model, asked.n, self._most_tokens())
            if extension.set:
                raise InputError(f"tts.set changes a preset, and {name} is a model; name a preset")
        elif name in self.presets:
            preset = self._load(name, extension.set)
        else:
            raise self._no_such(name)
        self._check_held(preset, asked)
        problem = asked.problem
        if problem.rule is None and preset.pipeline.compares:
            problem = replace(problem, answer_type="math")
        # Messages stay as they are, unless the preset itself has words for them.
        said = preset.prompt or PromptOptions()
        prompt = replace(said, instruction=said.instruction or "", answer=said.answer or "")
        most = None if is_plain else _MOST
        own = to_budget(extension.budget, name="tts.budget")
        budget = tightest(self._budget, preset.budget, own, most)
        job = Job.of(
            preset,
            replace(problem, prompt=prompt),
            sampling=asked.applied(preset.sampling),
            budget=budget,
            seed=asked.seed,
        )
        self._core.check(job)
        sink = preset.pipeline.sinks
        last = dict(preset.pipeline)[sink[0]].operator.spec if len(sink) == 1 else None
        has_writer = is_plain or (last is not None and not last.compares and asked.n == 1)
        return Planned(asked, job, is_plain, has_writer and not asked.tools)

    async def solve(
        self, planned: Planned, client: Client, watcher: Watcher | None = None
    ) -> Result:
        """Run a request, under the account of who asks.

        Args:
            planned: It.
            client: Who asks.
            watcher: Reads along; None for nobody.

        Raises:
            Busy: There are too many; nothing was spent.
            EngineError: The engine died.
        """
        self._check_room(client)
        account = Ledger(Budget(), parent=self._accounts[client])
        self._in_flight += 1
        self.meters.in_flight.set(self._in_flight)
        core = self._core
        try:
            await core.admission.acquire()
            try:
                if self._is_over:
                    raise _ending()
                # A log of its own: what is answered is never asked again.
                result = await core.run(
                    planned.job, log=GenerationLog(), account=account, watcher=watcher
                )
            finally:
                core.admission.release()
        except asyncio.CancelledError:
            self.meters.count_lost(account.usage)
            raise
        except EngineError as error:
            if ends_run(error) and not isinstance(error, RefusedError):
                self.failure = error
            raise
        finally:
            self._in_flight -= 1
            self.meters.in_flight.set(self._in_flight)
            _ = core.ledger.usage, self._accounts[client].usage  # keeps their sums short
        self.failure = None
        self.meters.count(result)
        return result

    def has_spent(self, client: Client) -> bool:
        """Return whether what is left of a client's budget buys no sample, however short."""
        account, info = self._accounts[client], self.engine.info
        with Reservation(account, info, n=1, max_tokens=MIN_TOKENS, prompt_tokens=0) as least:
            return not least.n

    def end(self) -> None:
        """Let requests under way return with what has finished by now; begin no more."""
        self._is_over = True
        self._core.expire_all()

    def _check_room(self, client: Client) -> None:
        if self.is_ending:
            raise _ending()
        if self._in_flight >= self._max_concurrency:
            raise Busy(f"{self._in_flight} requests are under way, which is all that is let in")
        if (seconds := client.wait_seconds()) > 0:
            told = f"{client.name} may make {client.rate:g} requests a minute"
            raise Busy(told, seconds=seconds, code="rate_limit_exceeded")

    def _loaded(self, name: str, overrides: tuple[str, ...]) -> Preset:
        """Return a served preset with changes, which may name no further models or code."""
        if not overrides:
            return self.presets[name]
        for change in overrides:
            if not change.startswith("prompt.") and ("/" in change or _FILE.search(change)):
                raise InputError(f"tts.set: {change}: a client names no files of the server")
        try:
            preset = load_preset(self._sources[name], overrides)
        except PresetError as error:
            raise InputError(f"tts.set: {str(error).removeprefix('--set ')}") from error
        if foreign := sorted(named_verifiers([preset.pipeline]) - self._verifiers):
            raise InputError(
                f"tts.set: the verifier {foreign[0]!r} is not served; served are "
                f"{', '.join(sorted(self._verifiers)) or 'none'}"
            )
        return preset

    def _most_tokens(self) -> int:
        engine = self.engine
        known = engine.info.context_tokens if engine.capabilities.token_ids else None
        return known or _MAX_TOKENS

    def _check_held(self, preset: Preset, asked: Asked) -> None:
        """Refuse tools and forms of answers where the model is asked for other things, too."""
        if _FORMS.isdisjoint(asked.sampling.get("extra_body", {})):
            return
        others = [n for n, node in preset.pipeline if _module(node.operator) not in _HELD]
        others += [
            name
            for name in self._core.verifiers
            if name in named_verifiers([preset.pipeline])
            and "own_prompts" in self._core.verifiers[name].spec.needs
        ]
        if others:
            raise InputError(
                f"tools and response_format hold all that the model writes to one form, and "
                f"{others[0]!r} of the preset {preset.name} asks it for something else; choose a "
                "preset that draws and votes, such as self_consistency"
            )

    def _no_such(self, name: str) -> NoSuchModel:
        return NoSuchModel(catalog.unknown("model", name, [self.model, *self.presets]))


def _ending() -> Busy:
    return Busy("the server is about to end", seconds=5.0, code="server_ending")


def tightest(*budgets: Budget | None) -> Budget:
    """Return the least of each limit."""
    known = [budget for budget in budgets if budget is not None]
    limits = {
        f.name: min((v for b in known if (v := getattr(b, f.name)) is not None), default=None)
        for f in fields(Budget)
    }
    return Budget(**limits)


def _check_budget(client: Client, engine: Engine) -> None:
    """Refuse what limits nothing over all requests of a client.

    Raises:
        BudgetError: The engine cannot count it, or it is of one problem.
    """
    if client.budget.seconds is not None or client.budget.sequential is not None:
        raise BudgetError(
            f"client {client.name!r}: its budget limits tokens, calls, dollars or operations of "
            "all its requests; seconds and tokens in a row are of one request (--budget)"
        )
    check_budget(client.budget, engine)


def _plain_samples(name: str, n: int, max_tokens: int) -> Preset:
    sampling = Sampling(temperature=1.0, max_tokens=max_tokens)
    return Preset(name, "Plain samples.", sample(n=n), sampling, Budget(), {})


def _carried(runtime: Runtime, names: Sequence[str]) -> Iterable[tuple[str, Preset]]:
    """Yield the presets whose parts are there, with their sources; one that is named must."""
    for name in names or catalog.preset_files():
        try:
            preset = load_preset(name)
            runtime.check_parts(preset)
        except TTSError:
            if names:
                raise
        else:
            yield name, preset


def _is_able(core: Core, preset: Preset, must: bool) -> bool:
    """Return whether the engines have what a preset needs; one that was named must find it."""
    try:
        core.check(Job.of(preset, "What is 1 + 1?"))
    except TTSError:
        if must:
            raise
        return False
    return True


def _module(operator: object) -> str:
    return type(operator).__module__.rpartition(".")[2]
