"""What `import tts` offers: its names, its doors, what it costs, and what its functions refuse."""

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tts
from tts.errors import BudgetError, InputError, PresetError, ProblemError
from tts.protocols import Verifier

HEAVY = ("torch", "vllm", "transformers", "numpy", "scipy", "matplotlib", "datasets", "sympy")
LIGHT = (*HEAVY, "pydantic", "networkx", "openai", "yaml", "asyncio")
DOORS = ("engines", "errors", "operators", "strategies", "types", "verifiers")
ROOT = (
    *("Budget", "Pipeline", "Preset", "Problem", "Result", "Runtime", "Sampling", "Summary"),
    "TTSError",
    *("asolve", "evaluate", "load_plugin", "load_preset", "shutdown", "solve", "solve_many"),
)


def test_the_package_shows_its_public_names_only() -> None:
    import_module("tts.engine.spec")  # a submodule that is loaded is no public name
    assert dir(tts) == sorted([*ROOT, *DOORS])
    assert vars(tts)["__all__"] == dir(tts)  # what `from tts import *` takes
    assert all(getattr(tts, name) is not None for name in dir(tts))


@pytest.mark.parametrize("door", ["engines", "operators", "strategies", "verifiers"])
def test_a_door_shows_its_public_names_only(door: str) -> None:
    module = getattr(tts, door)
    assert isinstance(module, ModuleType)
    assert "lazy" not in dir(module) and "TYPE_CHECKING" not in dir(module)
    assert all(getattr(module, name) is not None for name in dir(module))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'tts' has no attribute 'nothing'"):
        getattr(tts, "nothing")  # noqa: B009
    with pytest.raises(AttributeError, match=r"'tts\.engines' has no attribute 'nothing'"):
        getattr(tts.engines, "nothing")  # noqa: B009


def loaded_by(code: str, watched: tuple[str, ...]) -> str:
    whole = f"import sys\n{code}\nprint([m for m in {watched} if m in sys.modules])"
    command = [sys.executable, "-S", "-c", whole] if "asyncio" in watched else None
    command = command or [sys.executable, "-c", whole]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_and_its_doors_loads_nothing() -> None:
    # Nothing but itself: without site packages, whose .pth files may load what they like.
    assert loaded_by("import tts, tts.engines", LIGHT) == "[]"
    assert loaded_by("import tts; tts.operators, dir(tts), tts.__version__", LIGHT) == "[]"


def test_a_name_is_the_same_whichever_way_it_is_loaded() -> None:
    first = "import tts.operators.vote; from tts.operators import vote; print(vote.__name__)"
    then = "from tts.operators import vote; import tts.operators.vote; print(vote.__name__)"
    for code in (first, then):
        assert loaded_by(code, ()) == "vote\n[]"


def public_objects() -> Iterator[Any]:
    for module in (tts, tts.engines):
        yield from (getattr(module, name) for name in dir(module) if name not in DOORS)


def signatures(public: Any) -> Iterator[Any]:
    if inspect.isfunction(public):
        yield public
    elif inspect.isclass(public):
        members = [vars(public).get("__init__"), *vars(public).values()]
        for member in members:
            called = member.fget if isinstance(member, property) else member
            if inspect.isfunction(called) and (called.__name__ == "__init__" or is_shown(called)):
                yield called


def is_shown(function: Any) -> bool:
    return not function.__name__.startswith("_") and function.__name__ not in INTERNAL


# Between parts of the package: what they take and give is not for users.
INTERNAL = {"serving", "check", "prompted", "check_engines", "reporting", "of", "max_inputs"}


def named_types(hint: Any) -> Iterator[type]:
    if isinstance(hint, list):
        for part in hint:
            yield from named_types(part)
    arguments = typing.get_args(hint)
    if arguments:
        for argument in arguments:
            yield from named_types(argument)
    elif inspect.isclass(hint) and hint.__module__.startswith("tts.") and hint.__name__[0] != "_":
        yield hint


def test_every_type_in_a_public_signature_is_public() -> None:
    known = {id(Verifier), *(id(value) for value in public_objects())}  # of tts.verifiers
    for door in DOORS:
        module = getattr(tts, door)
        known |= {id(getattr(module, name)) for name in dir(module)}
    missing = {
        (function.__qualname__, kind.__name__)
        for public in public_objects()
        for function in signatures(public)
        for hint in typing.get_type_hints(function).values()
        for kind in named_types(hint)
        if id(kind) not in known
    }
    assert sorted(missing) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"problem": None}, r"problem: expected Problem, got None \(NoneType\); write its text"),
    ({"problem": 3}, r"problem: expected Problem, got 3 \(int\); write its text"),
    ({"problem": "  "}, "the problem is empty"),
    ({"preset": 3}, "preset: expected a preset's name or file, a Preset or a Pipeline, got 3"),
    ({"preset": "sngle"}, "did you mean 'single'"),
    (
        {"budget": []},
        r"budget: expected text such as '8k' or '30s', or Budget\(tokens=8000\), got \[\]",
    ),
    ({"budget": 8000}, "budget: expected text such as"),
    ({"budget": "8 apples"}, "cannot read '8 apples'"),
    ({"seed": "x"}, r"seed: expected a whole number, got 'x' \(str\)"),
    ({"seed": True}, "seed: expected a whole number"),
    ({"seed": 1.5}, "seed: expected a whole number"),
    ({"model": 5}, "model: expected text: MODEL, MODEL@URL or replay:FILE"),
    ({"model": ""}, "no engine ''"),
    ({"model": "replay:nowhere.jsonl"}, "cannot read the pool"),
    ({"overrides": "n=8"}, "overrides: expected a list of texts, such as"),
    ({"overrides": ["m=8"]}, "has no 'm'"),
    ({"engine_args": ["dtype"]}, "engine_args: expected a mapping, such as"),
    ({"engine_args": {"max_model_len": "long"}}, "max_model_len = 'long'"),
    ({"overrides": ["sampling.extra_body={min_tokns: 3}"]}, "did you mean 'min_tokens'"),
    ({"models": {"pmr": "m"}}, "unknown verifier 'pmr'; did you mean 'prm'"),
    ({"models": {"prm": 3}}, r"models\['prm'\]: expected a model, got 3"),
    ({"models": "m"}, "models: expected a mapping"),
]


@pytest.fixture
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an engine was made")

    monkeypatch.setattr("tts.engine.running.make_engine", refuse)


@pytest.mark.usefixtures("_no_engine")
@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_a_wrong_argument_is_one_sentence_before_an_engine_starts(
    wrong: dict[str, Any], message: str
) -> None:
    arguments = {"problem": "What is 1 + 1?", **wrong}
    with pytest.raises(InputError, match=message) as caught:
        tts.solve(arguments.pop("problem"), **arguments)
    assert "\n" not in str(caught.value)
    if "problem" not in wrong:
        with pytest.raises(InputError, match=message):
            tts.solve_many(["What is 1 + 1?"], **wrong)


@pytest.mark.usefixtures("_no_engine")
@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ("What is 1 + 1?", "problems: expected a list of texts or Problems, got 'What is"),
        (None, "problems: expected a list"),
        (["1 + 1", 3], "problem: expected Problem, got 3"),
        ([tts.Problem("a", "1"), tts.Problem("a", "2")], "two problems have the id 'a'"),
    ],
)
def test_wrong_problems_are_refused(problems: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tts.solve_many(problems)


@pytest.mark.usefixtures("_no_engine")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"benchmarks": []}, "benchmarks: name at least one"),
        ({"benchmarks": 3}, "benchmarks: expected a list of texts"),
        ({"benchmarks": "chian"}, "did you mean 'chain'"),
        ({"presets": []}, "presets: name at least one preset"),
        ({"presets": [3]}, "preset: expected a preset's name"),
        ({"limit": 0}, "limit: expected at least 1, got 0"),
        ({"epochs": "2"}, "epochs: expected a whole number"),
        ({"budget": "8"}, "too small for one sample"),
        ({"run_budget": "15"}, "enough for 0 of 1 problems"),
        ({"budget": 8}, "^budget: expected text such as"),
        ({"run_budget": []}, "run_budget: expected text such as"),
        ({"data": 3}, "data: expected a file"),
        ({"benchmarks": ["chain", "countdown"], "data": "x"}, "data belong to one benchmark"),
        ({"reuse": "runs/x"}, "reuse: expected a list of paths"),
        ({"reuse": ["nowhere"]}, "nowhere: no run here"),
        ({"engines": {"draft": 3}}, r"engines\['draft'\]: expected an engine, or text"),
        ({"engines": {"draft": "m"}}, "nothing asks an engine of that name"),
        ({"split": "exam"}, "exam"),
    ],
)
def test_evaluate_refuses_before_an_engine_starts(
    wrong: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {"benchmarks": "chain", "limit": 1, **wrong}
    with pytest.raises((InputError, ProblemError), match=message):
        tts.evaluate(arguments.pop("benchmarks"), **arguments)
    assert not list(tmp_path.iterdir())
    tts.shutdown()


def test_errors_are_one_family() -> None:
    assert issubclass(PresetError, tts.TTSError) and issubclass(BudgetError, tts.errors.InputError)
