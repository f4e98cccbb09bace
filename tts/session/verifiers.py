"""The verifiers that pipelines name: from their text to objects, and to the models they read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tts.bundled import PREFIX as BUNDLED
from tts.errors import InputError
from tts.parts import catalog
from tts.parts.build import default_model, load_verifier, reads_file
from tts.pipeline import Pipeline
from tts.protocols import Engine, Verifier


@dataclass(slots=True)
class FoundVerifiers:
    """Verifiers: those that read no model are built, the others wait for their engines.

    Attributes:
        built: By name, those that are built.
        waiting: Module, options and model of the others, by name.
    """

    built: dict[str, Verifier] = field(default_factory=dict)
    waiting: dict[str, tuple[Any, Any, str]] = field(default_factory=dict)

    @property
    def models(self) -> set[str]:
        """The reward models that must run."""
        return {model for _, _, model in self.waiting.values()}

    def check_policy(self, policy: str, given: Mapping[str, str]) -> None:
        """Refuse to score another model's samples with a bundled reward model by default.

        Args:
            policy: The model whose samples are scored.
            given: Models that were chosen, by verifier name.

        Raises:
            InputError: A verifier would read its default, a bundled model.
        """
        for text, (_, _, model) in self.waiting.items():
            name, _ = catalog.parse_verifier(text)
            if name in given or policy.startswith(BUNDLED) or not model.startswith(BUNDLED):
                continue
            raise InputError(
                f"the verifier {name!r} would score samples of {policy} by {model}, a model of "
                "3 MB that has seen nothing but two puzzles solved by the bundled policy; name a "
                f"reward model with --verifier {name}=MODEL or models={{{name!r}: MODEL}} "
                f"({model} insists on that one)"
            )

    def build(self, engines: Mapping[str, Engine]) -> dict[str, Verifier]:
        """Build those that wait, and return all by name.

        Args:
            engines: One that runs, for each of `models`.
        """
        for name, (module, config, model) in self.waiting.items():
            self.built[name] = module.build(config, engines[model])
        return self.built


def named_verifiers(pipelines: Iterable[Pipeline]) -> set[str]:
    """Return the verifiers that pipelines name, each with its options."""
    return {
        name
        for pipeline in pipelines
        for _, node in pipeline
        for name in node.operator.spec.verifiers
    }


def find_verifiers(
    names: Iterable[str],
    models: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> FoundVerifiers:
    """Read what verifiers are, and those that they ask in turn; no model is loaded.

    Args:
        names: With their options.
        models: Model by verifier name (without its options), in place of the verifier's default.
        options: By verifier name, for what its text leaves open: `{"execution": {"unsafe": True}}`.

    Raises:
        InputError: No such verifier or option, or a model for one that takes none.
        VerifierError: A verifier cannot work here.
    """
    found, wanted = FoundVerifiers(), sorted(names)
    for text in wanted:
        name, _ = catalog.parse_verifier(text)
        given = (models or {}).get(name)
        module, config = load_verifier(text, (options or {}).get(name), model=given)
        model = reward_model(text, models or {})
        if model is None:
            found.built[text] = module.build(config)
            wanted += [n for n in found.built[text].spec.verifiers if n not in wanted]
        elif default_model(name) is None:
            raise InputError(f"the verifier {name!r} takes no model, got {model!r}")
        else:
            found.waiting[text] = (module, config, model)
    return found


def build_verifiers(
    pipelines: Iterable[Pipeline], engines: Mapping[str, Engine]
) -> dict[str, Verifier]:
    """Build the verifiers that pipelines name on reward models that run already.

    Args:
        pipelines: What is to be run.
        engines: By model; a verifier that is closed closes its own.

    Raises:
        InputError: There is no such verifier or option.
        VerifierError: A verifier cannot work here.
    """
    return find_verifiers(named_verifiers(pipelines)).build(engines)


def reward_model(verifier: str, models: Mapping[str, str]) -> str | None:
    """Return the model that a verifier reads; None if it reads none.

    Args:
        verifier: With its options.
        models: Model by verifier name, in place of the verifier's default.

    Returns:
        None too where that is a file of its own.
    """
    name, _ = catalog.parse_verifier(verifier)
    return None if reads_file(name) else models.get(name) or default_model(name)
