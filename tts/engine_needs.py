"""What nodes and their verifiers need of a run's engines, and whether the run has it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tts.errors import CapabilityError, PipelineError
from tts.protocols import Engine, Spec, Verifier, VerifierSpec
from tts.types import ModelInfo, Sampling, StateSpec
from tts.types.states import AT

_HINTS = {
    "embeddings": "MODEL?pooling names one that does",
    "likelihood": "an embedded model gives them, and vLLM's server",
    "own_prompts": (
        "recorded samples answer the problem alone, not prompts that a strategy writes: choose a "
        "preset that only chooses among samples, or the model itself"
    ),
    "states": (
        "a model that runs in this process does; of a server's samples, an embedded copy of the "
        "model reads them: head(reader='MODEL?pooling')"
    ),
    "teams": (
        "workers over one cache need a model that runs in this process; the preset hogwild_lagged "
        "asks for nothing special"
    ),
    "thoughts": (
        "they need a model whose chat template says how to write them, embedded or on vLLM's "
        "server, or choose another preset"
    ),
}


def check_node(
    spec: Spec, engines: Mapping[str, Engine], verifiers: Mapping[str, Verifier]
) -> None:
    """Refuse engines or verifiers that lack what a node needs; messages follow "node 'x' ".

    Args:
        spec: The node's.
        engines: By name; the empty one is the run's own.
        verifiers: By name.

    Raises:
        CapabilityError: An engine is missing or lacks a capability, or runs another model than
            the node was calibrated for.
        PipelineError: It names an unknown verifier, or sums scores that are no probabilities.
    """
    asked = _with_those_they_ask(spec.verifiers, verifiers)
    known = [verifiers[name].spec for name in asked if name in verifiers]
    needs = _needs_by_engine(spec, known)
    for name in sorted(needs, key=lambda name: (name in engines, name)):  # missing ones first
        _check_engine(name, needs[name], engines)
    for verifier in known:
        _check_weights(verifier, engines[verifier.engine].info)
    _check_model(spec.model, engines[""].info.name)
    if unknown := set(asked) - set(verifiers):
        raise PipelineError(
            f"needs the verifier {min(unknown)!r}; "
            f"this run has {', '.join(sorted(verifiers)) or 'none'}"
        )
    for weight in spec.weights:
        if weight in verifiers and not _can_weigh(verifiers[weight], spec):
            raise PipelineError(
                f"sums the scores of {weight!r}, which are no probabilities; "
                "calibrate it, or choose a verifier whose scores lie in [0, 1]"
            )


def reporting(
    sampling: Sampling,
    specs: Iterable[Spec],
    engines: Mapping[str, Engine],
    verifiers: Mapping[str, Verifier],
) -> Sampling:
    """Return a sampling profile that reports what nodes and verifiers read of each token.

    Certainties take the place of log-probabilities where all engines can tell them: on the
    embedded one they cost next to nothing, and 20 candidates half the pace.
    """
    specs = list(specs)
    asked = [verifiers[name].spec for name in verifiers_asked(specs, verifiers)]
    tell = [engines[name].capabilities.certainties for name in engines_asked(specs, verifiers)]
    logprobs = [spec.logprobs for spec in specs]
    logprobs += [spec.logprobs for spec in asked if not (spec.certainties and all(tell))]
    reads_certainties = any(tell) and any(spec.certainties for spec in asked)
    return replace(
        sampling,
        logprobs=max([sampling.logprobs or 0, *logprobs]) or sampling.logprobs,
        certainties=sampling.certainties or reads_certainties,
    )


def states_asked(specs: Iterable[Spec], verifiers: Mapping[str, Verifier]) -> StateSpec | None:
    """Return the hidden states that verifiers read of the policy's completions; None for none.

    Args:
        specs: The nodes'.
        verifiers: By name; one that is missing counts as one that reads none.
    """
    names = verifiers_asked(specs, verifiers)
    asked = [spec for name in names if name in verifiers and (spec := verifiers[name].spec.states)]
    if not asked:
        return None
    layers = sorted({layer for spec in asked for layer in spec.layers})
    return StateSpec(tuple(layers), max((spec.at for spec in asked), key=AT.index))


def engines_asked(specs: Iterable[Spec], verifiers: Mapping[str, Verifier]) -> set[str]:
    """Return the names of the engines that nodes ask; the empty one is the run's own.

    Args:
        specs: The nodes'.
        verifiers: By name; one that is missing counts as one that asks none.
    """
    names = {""}
    for spec in specs:
        asked = _with_those_they_ask(spec.verifiers, verifiers)
        judges = (verifiers[name].spec.engine for name in asked if name in verifiers)
        names |= {*spec.engines, *spec.embedders, *judges}
    return names


def verifiers_asked(specs: Iterable[Spec], verifiers: Mapping[str, Verifier]) -> list[str]:
    """Return the names of the verifiers that nodes ask, and of those that these ask in turn.

    Args:
        specs: The nodes'.
        verifiers: By name; one that is missing counts as one that asks none.
    """
    return _with_those_they_ask((name for spec in specs for name in spec.verifiers), verifiers)


def _check_engine(name: str, needs: frozenset[str], engines: Mapping[str, Engine]) -> None:
    if name not in engines:
        others = ", ".join(sorted(engines.keys() - {""})) or "no other"
        raise CapabilityError(
            f"needs the engine {name!r}; this run has {others}; say what it is "
            f"with --engine-for {name}=MODEL or Runtime(engines=...)"
        )
    engine = engines[name]
    if lacking := engine.capabilities.lacks(needs):
        missing = engine.capabilities.missing(needs)
        hint = "".join(f"; {words}" for need, words in _HINTS.items() if need in missing)
        raise CapabilityError(
            f"needs {lacking}, which {type(engine).__name__} "
            f"({engine.info.name}) does not offer{hint}"
        )


def _check_weights(verifier: VerifierSpec, info: ModelInfo) -> None:
    if verifier.weights and verifier.weights != info.weights:
        raise CapabilityError(
            f"has a verifier whose head was trained on the states of another model than "
            f"{info.name}; train one with `tts train-verifier --model {info.name}`"
        )


def _check_model(calibrated_for: str, own: str) -> None:
    if calibrated_for not in ("", own):
        raise CapabilityError(
            f"has a policy that was calibrated for {calibrated_for}, this is {own}; "
            "run `tts calibrate` on this model"
        )


def _with_those_they_ask(names: Iterable[str], verifiers: Mapping[str, Verifier]) -> list[str]:
    """Return verifiers' names and, after them, those of the verifiers that they ask."""
    asked = list(dict.fromkeys(names))
    for name in asked:
        more = verifiers[name].spec.verifiers if name in verifiers else ()
        asked += [other for other in more if other not in asked]
    return asked


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
