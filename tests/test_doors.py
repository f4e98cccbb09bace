"""Public doors: `tts.operators`, `tts.strategies` and `tts.verifiers`."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tts.operators
import tts.strategies
import tts.verifiers
from tts.parts import catalog

DOORS = {"operator": tts.operators, "strategy": tts.strategies, "verifier": tts.verifiers}
OTHERS = {
    "operator": {
        "Condition",
        "Context",
        "Inlet",
        "Node",
        "Operator",
        "OperatorModel",
        "Outlet",
        "Parameters",
        "Spec",
        "node",
    },
    "strategy": set(),
    "verifier": {"Score", "Verifier", "VerifierSpec"},
}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("kind", DOORS)
def test_a_door_shows_the_folder_and_nothing_else(kind: str) -> None:
    expected = {*catalog.names(kind), *OTHERS[kind]}
    assert set(dir(DOORS[kind])) == set(DOORS[kind].__all__) == expected
    for name in DOORS[kind].__all__:
        assert not isinstance(getattr(DOORS[kind], name), ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        DOORS[kind].nothing  # noqa: B018


@pytest.mark.parametrize("kind", DOORS)
def test_type_checkers_are_told_every_name(kind: str) -> None:
    tree = ast.parse(Path(DOORS[kind].__file__ or "").read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If)]
    told = {n.target.id for n in block.body if isinstance(n, ast.AnnAssign)}  # type: ignore[union-attr]
    told |= {
        alias.asname
        for n in block.body
        if isinstance(n, ast.ImportFrom)
        for alias in n.names
        if alias.asname
    }
    missing = set(DOORS[kind].__all__) ^ told
    assert not missing, f"write these below `if TYPE_CHECKING:` in {DOORS[kind].__file__}"


@pytest.mark.parametrize(
    ("first", "then"),
    [("tts.operators", "tts.operators.vote"), ("tts.strategies", "tts.strategies.rebase")],
)
def test_a_name_is_the_function_whatever_is_imported_first(first: str, then: str) -> None:
    name = then.rpartition(".")[2]
    look = f"print(callable({first}.{name}), {first}.{name}.__name__, {first}.{name} is kept)"
    take = f"from {first} import {name} as kept"
    expected = f"True {name} True"
    assert run(f"import {first}; {take}; import {then}; {look}") == expected
    assert run(f"import {then}; {take}; {look}") == expected


def test_a_door_imports_nothing_heavy() -> None:
    heavy = ("numpy", "networkx", "scipy", "pydantic", "torch")
    code = f"print([m for m in {heavy} if m in sys.modules])"
    doors = "import sys, tts.operators, tts.strategies, tts.verifiers"
    assert run(f"{doors}; {code}") == "[]"


def test_a_pipeline_loads_networkx_for_its_graph_alone() -> None:
    build = "import sys; from tts.operators import sample, vote; p = sample(n=2) >> vote()"
    before = "p.check(); p.to_mermaid(); print('networkx' in sys.modules)"
    after = "print(sorted(p.graph.edges), 'networkx' in sys.modules)"
    assert run(f"{build}; {before}; {after}").splitlines() == [
        "False",
        "[('sample', 'vote')] True",
    ]
