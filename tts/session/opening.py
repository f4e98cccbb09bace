"""From what pipelines name to what they run on: engines, reward models, verifiers."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.engine.ray_cluster import RayEngines
from tts.engine.running import RunningEngines, reward_engine
from tts.engine.spec import FORMS, EngineSpec, resolve, split_args
from tts.errors import CapabilityError, InputError
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.protocols import Engine, EngineFacts, Verifier
from tts.session.arguments import to_mapping, wrong_type
from tts.session.verifiers import FoundVerifiers, find_verifiers, named_verifiers


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of, as the user gave it.

    Attributes:
        own: The run's own engine, made already or not.
        engines: Further ones, by the name that pipelines ask them by.
        args: Options of further engines whose name says itself what they are, by that name.
        models: Model by verifier name (without its options), in place of the verifier's default.
        verifiers: Made already, by the text that pipelines name them by.
        options: Of verifiers by name, for what their text leaves open.
        ray: Address of the Ray cluster whose actors run the embedded engines; None runs them here.
    """

    own: EngineSpec | Engine
    engines: Mapping[str, EngineSpec | Engine]
    args: Mapping[str, Mapping[str, Any]]
    models: Mapping[str, str]
    verifiers: Mapping[str, Verifier]
    options: Mapping[str, Mapping[str, Any]]
    ray: str | None = None

    @property
    def unsafe_execution(self) -> bool:
        """Whether code may be run even where nothing isolates it."""
        return bool(self.options.get("execution", {}).get("unsafe"))


def to_parts(
    engine: object,
    *,
    engine_args: object = None,
    engines: object = None,
    models: object = None,
    verifiers: Mapping[str, Verifier] | None = None,
    unsafe_execution: bool = False,
    ray: str | None = None,
) -> Parts:
    """Check what a user said of engines and verifiers; nothing is loaded.

    Args:
        engine: The run's own: an engine, or its line of text.
        engine_args: Options of the run's own engine by name, and of others as "NAME.option".
        engines: Further ones by name, made or as text.
        models: Model by verifier name.
        verifiers: Made already.
        unsafe_execution: Code may be run without isolation where there is none.
        ray: Address of a Ray cluster.

    Raises:
        InputError: Something is wrong; the message names the argument.
        ProblemError: A pool cannot be read.
    """
    args = split_args(to_mapping(engine_args, "engine_args", '{"dtype": "float32"}'))
    own = _to_engine(engine, "model", args.pop("", {}))
    named = {
        name: _to_engine(given, f"engines[{name!r}]", args.pop(name, {}))
        for name, given in to_mapping(engines, "engines", '{"draft": "bundled:draft"}').items()
    }
    chosen = to_mapping(models, "models", '{"prm": "bundled:prm"}')
    for name, model in chosen.items():
        catalog.load("verifier", name)
        if not isinstance(model, str):
            raise wrong_type(f"models[{name!r}]", "a model", model)
    runs_code = ("execution", "evaluator")
    options = {name: {"unsafe": True} for name in runs_code} if unsafe_execution else {}
    if not isinstance(ray, str | None):
        raise wrong_type("ray", 'an address, such as "auto"', ray)
    return Parts(own, named, args, dict(chosen), dict(verifiers or {}), options, ray)


def _to_engine(given: Any, argument: str, args: Mapping[str, Any]) -> EngineSpec | Engine:
    if isinstance(given, str | Path):
        return EngineSpec.parse(str(given), args)
    if not callable(getattr(given, "generate", None)):
        raise wrong_type(argument, f"an engine, or text: {FORMS}", given)
    if args:
        raise InputError(f"engine_args: {argument} is an engine, whose options are settled")
    engine: Engine = given
    return engine


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be open, found but not started.

    Attributes:
        verifiers: Those that are not yet there.
        specs: Every engine of the run that we make, by name; the empty one is the run's own.
        rewards: Every reward model, by its model.
        asked: Names of the engines that pipelines ask.
    """

    verifiers: FoundVerifiers
    specs: Mapping[str, EngineSpec]
    rewards: Mapping[str, EngineSpec]
    asked: frozenset[str]

    @property
    def engines(self) -> list[EngineSpec]:
        """All that must run; reward models first, since they take a fixed share of a GPU."""
        return [*self.rewards.values(), *self.specs.values()]


class Opened:
    """What pipelines run on; more of it is started as further pipelines need it.

    The embedded engines that we make, reward models among them, split the memory of a GPU. One that
    comes later shrinks the share of the others, which are then started anew.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        made = {"": parts.own, **parts.engines}
        self._specs = {name: one for name, one in made.items() if isinstance(one, EngineSpec)}
        self._given = {name: one for name, one in made.items() if not isinstance(one, EngineSpec)}
        self._running = RunningEngines() if parts.ray is None else RayEngines(parts.ray)
        self._rewards: dict[str, EngineSpec] = {}
        self._has_started = False
        self.engines: dict[str, Engine] = {}
        self.verifiers: dict[str, Verifier] = {}

    @property
    def loading_seconds(self) -> float:
        """Time in which models were loaded while work waited for them (`LateEngine`)."""
        return self._running.loading_seconds

    def serves(self, pipelines: Collection[Pipeline]) -> bool:
        """Return whether all that pipelines name is there."""
        asked = {name for pipeline in pipelines for name in pipeline.engines(self.verifiers)}
        is_open = {"", *asked} <= self.engines.keys()
        return is_open and named_verifiers(pipelines) <= self.verifiers.keys()

    def find(self, pipelines: Collection[Pipeline]) -> Wanted:
        """Return what must be open for pipelines, what is open included; nothing is started.

        Raises:
            InputError: No such verifier or option, a model for one that takes none, or the bundled
                reward model for another model's samples.
            CapabilityError: Nobody says what an engine is that a pipeline asks.
            VerifierError: A verifier cannot work here.
        """
        known = {**self._parts.verifiers, **self.verifiers}
        parts = self._parts
        found = find_verifiers(
            named_verifiers(pipelines) - known.keys(), parts.models, parts.options
        )
        if isinstance(parts.own, EngineSpec):
            found.check_policy(parts.own.model, parts.models)
        verifiers = {**known, **found.built}
        asked = {name for pipeline in pipelines for name in pipeline.engines(verifiers)} - {""}
        names = {*asked, *self.engines} - self._given.keys() - {""}
        own = {"": parts.own} if isinstance(parts.own, EngineSpec) else {}
        specs = {**own, **resolve(sorted(names), self._specs, parts.args)}
        known_engines = specs.keys() | self._given.keys()
        if unknown := sorted(asked - known_engines):
            others = sorted((known_engines | self._specs.keys()) - {""})
            raise CapabilityError(
                f"the pipeline needs the engine {unknown[0]!r}; this run has "
                f"{', '.join(others) or 'no other'}; say what it is with --engine-for "
                f"{unknown[0]}=MODEL or engines={{{unknown[0]!r}: MODEL}}"
            )
        rewards = {**self._rewards, **{model: reward_engine(model) for model in found.models}}
        return Wanted(found, specs, rewards, frozenset(asked))

    def check_asked(self, wanted: Wanted) -> None:
        """Refuse engines, and options of engines, that nothing asks.

        Raises:
            InputError: There is one.
        """
        asked = ", ".join(sorted(wanted.asked)) or "none"
        for name in sorted(self._parts.engines.keys() - wanted.asked):
            raise InputError(
                f"engine {name!r}: nothing asks an engine of that name; asked are {asked}"
            )
        for name in sorted(self._parts.args.keys() - wanted.asked):
            option = min(self._parts.args[name])
            raise InputError(
                f"engine option {name}.{option}: nothing asks an engine of that name; asked are "
                f"{asked}"
            )

    def disturbs(self, wanted: Wanted) -> bool:
        """Return whether engines that run must be started anew to make room."""
        return self._running.disturbs(wanted.engines)

    async def open(self, wanted: Wanted, facts: Mapping[str, EngineFacts] | None = None) -> None:
        """Open what is wanted; nothing may be in use of what that disturbs.

        Args:
            wanted: What.
            facts: What engines of the run, by name, told of themselves before: those start with
                the first request.

        Raises:
            InputError: A GPU's memory is too small for all.
            EngineError: A model cannot be loaded; then nothing that we made is open any more.
        """
        try:
            if not self._has_started:
                for engine in self._given.values():
                    await engine.start()
                self._has_started = True
            told = {wanted.specs[name]: known for name, known in (facts or {}).items()}
            running = await self._running.keep(wanted.engines, told)
            built = wanted.verifiers.build(
                {model: running[spec] for model, spec in wanted.rewards.items()}
            )
        except BaseException:
            await self._close_made()
            raise
        self.engines = {
            **self._given,
            **{name: running[spec] for name, spec in wanted.specs.items()},
        }
        self.verifiers = {**self._parts.verifiers, **self.verifiers, **built}
        self._rewards = dict(wanted.rewards)

    async def forget(self) -> None:
        """Drop what earlier requests left in the engines, those of reward models included.

        Raises:
            EngineError: Requests are running.
        """
        for engine in self._given.values():
            await engine.forget()
        await self._running.forget()

    async def aclose(self) -> None:
        """Close everything, also where a part of it fails at that."""
        async with AsyncExitStack() as closing:
            for engine in self._given.values():
                closing.push_async_callback(engine.aclose)
            _push(closing, self._parts.verifiers.values())
            closing.push_async_callback(self._close_made)

    async def _close_made(self) -> None:
        """Close what we made; `open` makes it anew."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._running.aclose)
            mine = self.verifiers.keys() - self._parts.verifiers.keys()
            _push(closing, [self.verifiers[name] for name in sorted(mine)])
            self.engines, self.verifiers, self._rewards = {}, {}, {}


def _push(closing: AsyncExitStack, verifiers: Iterable[Verifier]) -> None:
    for verifier in verifiers:
        closing.push_async_callback(verifier.aclose)
