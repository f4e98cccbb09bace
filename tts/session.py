"""From what pipelines name to what they run on: engines, reward models, verifiers."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from tts import catalog
from tts.engine.running import RunningEngines, reward_engine
from tts.engine.spec import EngineSpec, resolve
from tts.errors import InputError
from tts.parts import default_model, load_verifier
from tts.pipeline import Pipeline
from tts.protocols import Engine, Verifier


class Opened:
    """What pipelines run on; more of it is started as further pipelines need it.

    The embedded engines, reward models among them, split the memory of a GPU. One that comes later
    shrinks the share of the others, which are then started anew.

    Args:
        own: The run's own engine.
        named: What further engines are, by the name that pipelines ask them by; a name that holds
            ":" or "/" says it itself.
        models: Model by verifier name (without its options), in place of the verifier's default.
        options: By verifier name, for what its text leaves open: `{"execution": {"unsafe": True}}`.
    """

    def __init__(
        self,
        own: EngineSpec,
        *,
        named: Mapping[str, str] | None = None,
        models: Mapping[str, str] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.engines: dict[str, Engine] = {}
        self.verifiers: dict[str, Verifier] = {}
        self._own = own
        self._named, self._models, self._options = named or {}, models or {}, options or {}
        self._rewards: dict[str, EngineSpec] = {}
        self._running = RunningEngines()

    @property
    def engine(self) -> Engine:
        """The run's own."""
        return self.engines[""]

    @property
    def others(self) -> dict[str, Engine]:
        """The further ones, by name."""
        return {name: engine for name, engine in self.engines.items() if name}

    def serves(self, pipeline: Pipeline) -> bool:
        """Return whether all that a pipeline names is there."""
        is_open = pipeline.engines(self.verifiers) <= self.engines.keys()
        return is_open and _named_verifiers([pipeline]) <= self.verifiers.keys()

    async def serve(self, pipelines: Collection[Pipeline]) -> None:
        """Open what pipelines name and is not there yet; nothing of it may be in use.

        Raises:
            InputError: No such verifier or option, a model for one that takes none, an engine is
                named that no pipeline asks, or a GPU's memory is too small for all.
            VerifierError: A verifier cannot work here.
            EngineError: A model cannot be loaded; then nothing is open any more.
        """
        wanted = _named_verifiers(pipelines) - self.verifiers.keys()
        found = _find_verifiers(wanted, self._models, self._options)
        verifiers = {**self.verifiers, **found.verifiers}
        specs = {"": self._own, **self._others(pipelines, verifiers)}
        rewards = {**self._rewards, **{model: reward_engine(model) for model in found.models}}
        try:
            running = await self._running.keep([*rewards.values(), *specs.values()])
            found.build({model: running[spec] for model, spec in rewards.items()})
        except BaseException:
            await self.aclose()
            raise
        self.engines = {name: running[spec] for name, spec in specs.items()}
        self.verifiers.update(found.verifiers)
        self._rewards = rewards

    async def aclose(self) -> None:
        """Close everything, also where a part of it fails at that; `serve` opens it anew."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._running.aclose)
            for verifier in self.verifiers.values():
                closing.push_async_callback(verifier.aclose)
            self.engines, self.verifiers, self._rewards = {}, {}, {}

    def _others(
        self, pipelines: Iterable[Pipeline], verifiers: Mapping[str, Verifier]
    ) -> dict[str, EngineSpec]:
        asked = {name for pipeline in pipelines for name in pipeline.engines(verifiers)} - {""}
        if unasked := sorted(self._named.keys() - asked):
            raise InputError(
                f"--engine-for {unasked[0]}: nothing asks an engine of that name; asked are "
                f"{', '.join(sorted(asked)) or 'none'}"
            )
        return resolve(sorted(asked | self.others.keys()), self._named)


async def open_verifiers(
    pipelines: Iterable[Pipeline],
    models: Mapping[str, str] | None = None,
    *,
    engines: Mapping[str, Engine] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Verifier]:
    """Build the verifiers that pipelines name, with one engine for each reward model.

    On a GPU each takes 0.3 of the memory, so that the policy beside one has `memory=0.6`.

    Args:
        pipelines: What is to be run.
        models: Model by verifier name (without its options), in place of the verifier's default.
        engines: Reward models that run already, by model; a verifier that is closed closes its own.
        options: By verifier name, for what its text leaves open: `{"execution": {"unsafe": True}}`.

    Raises:
        InputError: No such verifier or option, or a model for one that takes none.
        VerifierError: A verifier cannot work here.
        EngineError: A reward model cannot be loaded.
    """
    found = _find_verifiers(_named_verifiers(pipelines), models or {}, options or {})
    missing = {m: reward_engine(m) for m in sorted(found.models - (engines or {}).keys())}
    running = RunningEngines()
    started = await running.keep(missing.values())
    try:
        found.build({**(engines or {}), **{m: started[spec] for m, spec in missing.items()}})
    except BaseException:
        await running.aclose()
        raise
    return found.verifiers


def reward_model(verifier: str, models: Mapping[str, str]) -> str | None:
    """Return the model that a verifier reads; None if it reads none.

    Args:
        verifier: With its options.
        models: Model by verifier name, in place of the verifier's default.
    """
    name, _ = catalog.parse_verifier(verifier)
    return models.get(name) or default_model(name)


@dataclass(slots=True)
class _Found:
    """Verifiers: those that read no model are built, the others wait for their engines.

    Attributes:
        verifiers: By name, those that are built.
        waiting: Module, options and model of the others, by name.
    """

    verifiers: dict[str, Verifier] = field(default_factory=dict)
    waiting: dict[str, tuple[Any, Any, str]] = field(default_factory=dict)

    @property
    def models(self) -> set[str]:
        """The reward models to be started."""
        return {model for _, _, model in self.waiting.values()}

    def build(self, engines: Mapping[str, Engine]) -> None:
        """Build those that wait, with an engine for each model."""
        for name, (module, config, model) in self.waiting.items():
            self.verifiers[name] = module.build(config, engines[model])


def _named_verifiers(pipelines: Iterable[Pipeline]) -> set[str]:
    return {
        name
        for pipeline in pipelines
        for _, node in pipeline
        for name in node.operator.spec.verifiers
    }


def _find_verifiers(
    names: Iterable[str],
    models: Mapping[str, str],
    options: Mapping[str, Mapping[str, Any]],
) -> _Found:
    """Read what verifiers are, and those that they ask in turn."""
    found, wanted = _Found(), sorted(names)
    for text in wanted:
        name, _ = catalog.parse_verifier(text)
        module, config = load_verifier(text, options.get(name))
        model = reward_model(text, models)
        if model is None:
            found.verifiers[text] = module.build(config)
            wanted += [n for n in found.verifiers[text].spec.verifiers if n not in wanted]
        elif default_model(name) is None:
            raise InputError(f"the verifier {name!r} takes no model, got {model!r}")
        else:
            found.waiting[text] = (module, config, model)
    return found
