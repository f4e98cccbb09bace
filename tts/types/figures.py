"""The figures of one run: values, as JSON, and a card in a notebook."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from tts.errors import StoreError
from tts.types.card import to_html

SCHEMA = 2
Unit = Literal["tokens", "calls", "seconds", "flops", "eflops", "usd", "sequential", "joules"]
UNITS: tuple[Unit, ...] = get_args(Unit)
# What is known of a problem while it runs; joules are a whole run's.
Counted = Literal["tokens", "calls", "seconds", "flops", "eflops", "usd", "sequential"]
COUNTED: tuple[Counted, ...] = get_args(Counted)
LATENCIES: tuple[Counted, ...] = ("seconds", "sequential")  # what is drawn together costs once


def short_model(model: str) -> str:
    """Return a model as it was named; in place of an absolute path, the name of the folder."""
    return Path(model).name if Path(model).is_absolute() else model


class Interval(NamedTuple):
    """Bounds of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one problem and repeat cost; None where it is not known.

    Attributes:
        tokens: Generated tokens.
        calls: Sequences asked of engines.
        seconds: Wall time from the problem's start to its end, with others in flight. On recorded
            samples that is the time of checking them, and so is not known.
        flops: Predicted operations of all models.
        eflops: The operations and the traffic of the KV cache, a byte as 562.5 operations
            (Kinetics, arXiv:2506.05333); the weights' traffic is left out: a batch shares it.
        usd: Dollars; None where no price is known.
        sequential: Generated tokens on the longest chain of dependent samples.
        joules: That this machine took while it ran, shared out evenly; None where it has no counter
            that may be read, or where a server elsewhere ran a model.
    """

    tokens: float | None = None
    calls: float | None = None
    seconds: float | None = None
    flops: float | None = None
    eflops: float | None = None
    usd: float | None = None
    sequential: float | None = None
    joules: float | None = None

    def of(self, unit: Unit) -> float | None:
        """Return the cost in a unit."""
        value: float | None = getattr(self, unit)
        return value

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Read a mapping of units to values; a missing one is not known."""
        return cls(**{f.name: values.get(f.name) for f in fields(cls)})


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a whole run; None where the engine did not count them.

    Attributes:
        prompt: Sent, cache hits included.
        cached: The part of `prompt` whose KV blocks were already resident.
        scored: The part of `prompt` that reward models ran over.
        generated: Sampled, those of pruned and cancelled samples included.
        wasted: The part of `generated` that reached no answer.
        reused: The part of `generated` that came from a log of earlier samples.
        lost: Beside `generated`: of calls that were in flight when a session was killed or
            interrupted; what nobody had counted by then is taken to be all that was asked for.
    """

    prompt: int | None
    cached: int | None
    scored: int | None
    generated: int | None
    wasted: int | None
    reused: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class KVBytes:
    """Bytes of the KV cache over a whole run, predicted from lengths; None where unknown.

    Attributes:
        read: That decoding read.
        dense: That it would have read if attention had left nothing out.
    """

    read: int | None
    dense: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run: `summary.json`, and one element of `tts eval --json`.

    Accuracies are shares in [0, 1].

    Attributes:
        benchmark: Its name.
        preset: How the problems were solved.
        model: Name of the run's own model.
        engine: Kind of engine that served it, such as "vllm".
        engines: Names of the further engines that the run asked.
        seed: Of the first repeat.
        repeats: How often each problem is solved.
        planned: Problems times repeats that the run has in all.
        done: Those that are finished; the figures are theirs alone.
        problems: Different problems among the finished ones.
        answered: Finished ones with an answer; the others count as wrong.
        samples: Finished samples.
        accuracy: Mean over problems of the share of their repeats that are right.
        interval: Its 95 % interval: Wilson's for one repeat, a bootstrap over problems for several.
        pass_at_k: Chance that one of k independent samples is right, at k = 1, 2, 4, ... up to the
            fewest of any problem; empty where a rule decided how many samples there are.
        maj_at_k: Accuracy of a vote over k of them, at the same k.
        cost: What one problem and repeat cost on average, by unit.
        tokens: Of the whole run.
        kv_bytes: Of the whole run.
        seconds: Wall time of the run's sessions up to its end; later openings change nothing.
        out: The run's folder.
        short: Finished problems and repeats that have fewer samples than were asked for, since
            calls failed.
        unanswered: Problems, with their repeat, that are not finished since a server left calls
            without an answer; the same command tries them again.
    """

    benchmark: str
    preset: str
    model: str
    engine: str
    engines: tuple[str, ...]
    seed: int
    repeats: int
    planned: int
    done: int
    problems: int
    answered: int
    samples: int
    accuracy: float
    interval: Interval
    pass_at_k: Mapping[int, float]
    maj_at_k: Mapping[int, float]
    cost: Cost
    tokens: Tokens
    kv_bytes: KVBytes
    seconds: float
    out: str
    short: int = 0
    unanswered: tuple[str, ...] = ()

    @property
    def model_name(self) -> str:
        """Its model as tables show it (`short_model`)."""
        return short_model(self.model)

    @property
    def is_finished(self) -> bool:
        """Whether nothing of the run is left to do."""
        return self.done == self.planned

    @property
    def is_replay(self) -> bool:
        """Whether the samples were recorded earlier, so that its seconds are not of sampling."""
        return is_replay(self.engine)

    @property
    def cost_of_pass(self) -> Cost:
        """What one right answer cost: mean cost over accuracy, by unit (arXiv:2508.02694).

        None where nothing was right, or the cost is not known.
        """
        if not self.accuracy:
            return Cost()
        costs = asdict(self.cost)
        return Cost(**{u: None if v is None else v / self.accuracy for u, v in costs.items()})

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, with the version of their form under `schema`."""
        values = asdict(self)
        for name in ("pass_at_k", "maj_at_k"):
            values[name] = {str(k): share for k, share in values[name].items()}
        return {"schema": SCHEMA, **values, "engines": list(self.engines)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], source: str) -> Self:
        """Read what `to_json` returned.

        Args:
            values: JSON values.
            source: Where they come from, for the error.

        Raises:
            StoreError: They are of another version.
        """
        if values.get("schema") != SCHEMA:
            raise StoreError(
                f"{source}: a summary of schema {values.get('schema', 1)}, this tts reads "
                f"{SCHEMA}; run it into a new folder"
            )
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        curves = {name: {int(k): v for k, v in known[name].items()} for name in _CURVES}
        return cls(
            **{
                **known,
                **curves,
                "engines": tuple(known["engines"]),
                "unanswered": tuple(known.get("unanswered", ())),
                "interval": Interval(*known["interval"]),
                "cost": Cost.from_mapping(known["cost"]),
                "tokens": Tokens(**known["tokens"]),
                "kv_bytes": KVBytes(**known["kv_bytes"]),
            }
        )

    def _repr_html_(self) -> str:
        """Return a short card, as notebooks show it."""
        low, high = self.interval
        right, tokens = f"{self.accuracy:.1%} [{low:.1%}, {high:.1%}]", self.cost.tokens
        return to_html(
            (
                ("benchmark", self.benchmark),
                ("preset", self.preset),
                ("model", self.model),
                ("finished", "all" if self.is_finished else f"{self.done} of {self.planned}"),
                ("accuracy", f"{right} of {self.problems:,} problems"),
                ("tokens a problem", None if tokens is None else f"{tokens:,.0f}"),
                ("run", self.out),
            )
        )


_CURVES = ("pass_at_k", "maj_at_k")


def is_replay(engine: str) -> bool:
    """Return whether an engine of this kind only replays recorded samples."""
    return engine == "replay"
