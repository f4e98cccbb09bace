"""The engine flags, declared once: `with_engine` gives them to a command."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.console.flags import EngineForFlag, to_engines, to_pairs
from tts.engine.spec import mask_login
from tts.presets.yaml_file import parse_value
from tts.session.runtime import DEFAULT_MODEL, Runtime

MODEL_HELP = (
    "The model: a Hugging Face id, a folder or bundled:NAME runs in this process; MODEL@URL, or "
    "@URL alone, asks an OpenAI-compatible server, MODEL@URL,URL several; replay:FILE[#MODEL] "
    "draws recorded samples."
)


@dataclass(frozen=True, slots=True)
class EngineFlags:
    """The flags as they were typed; each field is an option of every command that has them."""

    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="SPEC",
            help=MODEL_HELP,
        ),
    ] = DEFAULT_MODEL
    engine_arg: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-arg",
            metavar="KEY=VALUE",
            help="Set an option of the engine: any of vLLM's EngineArgs, such as dtype=float32, "
            "and sparse=budget=1024; for a server timeout, max_retries, concurrency, rate, "
            "price_in and the like. NAME.KEY=VALUE sets one of another engine. Repeat it for more.",
        ),
    ] = None
    engine_for: EngineForFlag = None
    verifier: Annotated[
        list[str] | None,
        typer.Option(
            "--verifier",
            metavar="NAME=MODEL",
            help="Choose the model of a verifier, such as prm=MODEL. Repeat it for more.",
        ),
    ] = None
    unsafe_execution: Annotated[
        bool,
        typer.Option(
            "--unsafe-execution",
            help="Run code, to score or to grade it, even where nothing isolates it.",
        ),
    ] = False

    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Run the model on all machines of a Ray cluster: auto for the one that this "
            "machine belongs to, HOST:PORT, or local for one of its own.",
        ),
    ] = None

    def runtime(
        self,
        *,
        run_budget: str | None = None,
        max_problems: int | None = None,
        log: Path | None = None,
    ) -> Runtime:
        """Return the runtime that the flags describe; nothing is loaded yet.

        Args:
            run_budget: Hard limits on everything that it does.
            max_problems: Most problems in flight; None is 64 for each server of the engine.
            log: File that keeps every sample; None keeps them in memory.

        Raises:
            InputError: A flag cannot be read, or names an unknown option, engine or verifier.
            ProblemError: A pool cannot be read.
        """
        args = {
            key: parse_value(text)
            for key, text in to_pairs(
                "--engine-arg", self.engine_arg, "KEY=VALUE, such as seed=1"
            ).items()
        }
        models = to_pairs("--verifier", self.verifier, "NAME=MODEL, such as prm=bundled:prm")
        return Runtime(
            self.model,
            engine_args=args,
            engines=to_engines(self.engine_for),
            models=models,
            run_budget=run_budget,
            max_problems=max_problems,
            log=log,
            unsafe_execution=self.unsafe_execution,
            ray=self.ray,
        )

    def to_arguments(self) -> list[str]:
        """Return the flags as they are typed, defaults left out and passwords masked."""
        arguments: list[str] = []
        if self.model != DEFAULT_MODEL:
            arguments += ["--model", mask_login(self.model)]
        for flag, texts in (
            ("--engine-arg", self.engine_arg),
            ("--engine-for", self.engine_for),
            ("--verifier", self.verifier),
        ):
            arguments += [word for text in texts or () for word in (flag, mask_login(text))]
        arguments += ["--ray", self.ray] if self.ray is not None else []
        return [*arguments, *(["--unsafe-execution"] if self.unsafe_execution else [])]


def with_engine(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the engine flags; it takes them as one keyword argument, `engine`.

    One of them that the command declares itself stays the command's own.
    """
    own = inspect.signature(command).parameters
    flags = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in fields(EngineFlags)
        if field.name not in own
    ]
    names = [flag.name for flag in flags]

    @wraps(command)
    def call(**given: Any) -> None:
        engine = EngineFlags(**{name: given.pop(name) for name in names})
        command(**given, engine=engine)

    kept = [p.replace(kind=p.KEYWORD_ONLY) for p in own.values() if p.name != "engine"]
    parameters = [*kept, *flags]
    call.__dict__["__signature__"] = inspect.Signature(parameters)
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call
