"""Scores an attempt's Python code by a function of yours, which measures what it does.

    # evaluator.py
    def evaluate(program):
        packed = program.pack(8)
        return {"score": total(packed), "circles": len(packed), "notes": "two of them touch"}

`evaluate` is given the code as one object and returns a number, or a mapping with the number
`score`: further numbers are metrics, and texts are for whoever improves the code. What it raises is
why the code has no score. It runs in the sandbox of the verifier `execution`, in a process that the
code cannot reach: calls and results cross as values, all names of the evaluator are its own, and no
score but what it returns counts. As in any call the code may change a list that it is handed: hand
it a copy, or a tuple, of what you use afterwards.

Functions `evaluate_stage1`, `evaluate_stage2` and so on are asked first, in order: code whose score
there is below 0.5, 0.75 and 0.9 in turn, or what the evaluator's `THRESHOLDS` say, goes no further
and has no score (the cascade of OpenEvolve, github.com/codelion/openevolve). A function `held_out`
is asked by nobody but `tts evolve`, once at its end, of the first and of the best program.
"""

import ast
import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from tts.errors import InputError, VerifierError
from tts.programs import to_program
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers.execution import Config as ExecutionConfig
from tts.verifiers.execution import build as build_execution

EVALUATE, HELD_OUT = "evaluate", "held_out"
_STAGE = re.compile(r"evaluate_stage(\d+)")
_THRESHOLDS = (0.5, 0.75, 0.9)  # OpenEvolve's defaults
_MAX_NOTES = 20_000  # characters of texts that are kept, as there


class Config(ExecutionConfig):
    """Where the evaluator is; the limits are for each of its functions."""

    seconds: float = Field(
        30.0, gt=0, le=3_600, description="most wall time, and most CPU time, in seconds"
    )
    file: str = Field(
        "",
        description="the evaluator's Python file; if empty, `evaluator` of the problem's metadata",
    )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluator said of code.

    Attributes:
        score: Higher is better; None if it gave none.
        error: Why not.
        metrics: Further numbers.
        notes: Texts for whoever improves the code, and the last of its standard error.
    """

    score: float | None
    error: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: str = ""


class Evaluator:
    """A file with the functions above, as text.

    Args:
        text: Python source.
        name: Of the file, for people.

    Raises:
        InputError: It is no Python, or has no such function.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self._name = text, name
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise InputError(f"{name}: the evaluator is not valid Python: {error}") from None
        self._functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        stages = sorted(filter(_STAGE.fullmatch, self._functions), key=_number)
        last = [EVALUATE] if EVALUATE in self._functions else []
        self.stages = (*stages, *last)
        if not self.stages:
            raise InputError(f"{name}: the evaluator needs a function evaluate(program)")
        self.thresholds = self._read_thresholds(tree)

    @property
    def has_held_out(self) -> bool:
        """Whether it has a measure that is kept for the end."""
        return HELD_OUT in self._functions

    def _read_thresholds(self, tree: ast.Module) -> tuple[float, ...]:
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "THRESHOLDS":
                try:
                    return tuple(float(value) for value in ast.literal_eval(node.value))
                except (ValueError, TypeError):
                    raise InputError(
                        f"{self._name}:{node.lineno}: THRESHOLDS is a list of numbers, one for "
                        "each stage but the last"
                    ) from None
        return _THRESHOLDS


class EvaluatorVerifier:
    """Scores code by an evaluator."""

    def __init__(self, config: Config) -> None:
        self._file = config.file
        self._own = load(Path(config.file)) if config.file else None
        self._execution = build_execution(config)

    @property
    def spec(self) -> VerifierSpec:
        """A number of the evaluator's own range."""
        return VerifierSpec(by_text=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Evaluate every attempt's code."""
        problem = context.problem
        try:
            evaluator = self._own or _of(problem.metadata.get("evaluator"), problem.id)
        except InputError as error:
            return [Score(None, error=str(error)) for _ in trajectories]

        async def ask(trajectory: Trajectory) -> Score:
            if not trajectory.answer:
                return Score(None, error="the trajectory has no code")
            try:
                said = await self.evaluate(evaluator, to_program(problem, trajectory.answer))
            except VerifierError as error:
                return Score(None, error=str(error))
            if said.score is None:
                return Score(None, error=said.error, report=f"{said.error}\n{said.notes}".strip())
            return Score(said.score, report=said.notes)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(trajectory)) for trajectory in trajectories]
        return [task.result() for task in tasks]

    async def evaluate(
        self, evaluator: Evaluator, code: str, *, stages: Sequence[str] = ()
    ) -> Evaluated:
        """Ask the functions of an evaluator about code, one after the other.

        Args:
            evaluator: It.
            code: A whole program.
            stages: Names of the functions; those of its cascade if none.

        Raises:
            VerifierError: The sandbox cannot start.
        """
        notes, said = "", Evaluated(None)
        names = stages or evaluator.stages
        for place, name in enumerate(names):
            outcome = await self._execution.evaluate(code, evaluator.text, name)
            if outcome.exit_code != 0:
                reason = outcome.error.strip() or "the evaluator was ended"
                return Evaluated(None, error=reason, notes=_joined(notes, outcome.stderr))
            said = _read(json.loads(outcome.output), outcome.stderr)
            notes = _joined(notes, said.notes)
            if said.score is None:
                return replace(said, notes=notes)
            least = evaluator.thresholds[place : place + 1] or (-math.inf,)
            if place < len(names) - 1 and said.score < least[0]:
                error = f"{name} gave {said.score:g}, and less than {least[0]:g} goes no further"
                return Evaluated(None, error=error, metrics=said.metrics, notes=notes)
        return Evaluated(said.score, metrics=said.metrics, notes=notes)

    async def aclose(self) -> None:
        """End the sandboxes that wait for code."""
        await self._execution.aclose()


def load(file: Path) -> Evaluator:
    """Read an evaluator.

    Raises:
        InputError: The file cannot be read, or holds none.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: the evaluator cannot be read: {error}") from None
    return Evaluator(text, str(file))


def _of(text: Any, problem_id: str) -> Evaluator:
    if not isinstance(text, str):
        raise InputError(
            f"problem {problem_id!r} has no evaluator in its metadata; name a file: "
            "evaluator(file=FILE)"
        )
    return Evaluator(text, f"problem {problem_id!r}")


def _read(result: Any, stderr: str) -> Evaluated:
    """Return what a function's result says."""
    said = result if isinstance(result, dict) else {"score": result}
    numbers = {
        name: float(value)
        for name, value in said.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    texts = [f"{name}: {value.strip()}" for name, value in said.items() if isinstance(value, str)]
    notes = _joined(*texts, stderr)
    score = numbers.pop("score", None)
    if score is None:
        error = f"the evaluator returned {result!r:.200}, and no finite number `score`"
        return Evaluated(None, error=error, metrics=numbers, notes=notes)
    return Evaluated(score, metrics=numbers, notes=notes)


def _joined(*notes: str) -> str:
    """Return the last of notes, those of each stage on lines of their own."""
    return "\n".join(filter(None, (note.strip() for note in notes)))[-_MAX_NOTES:]


def _number(name: str) -> int:
    found = _STAGE.fullmatch(name)
    return int(found[1]) if found else 0


def build(config: Config) -> EvaluatorVerifier:
    """Return the verifier.

    Raises:
        InputError: The file cannot be read, or is no evaluator.
        VerifierError: Nothing here isolates untrusted code.
    """
    return EvaluatorVerifier(config)
