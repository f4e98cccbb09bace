"""Imports point one way: each room may import only the rooms that its row names.

A row that lacks a room, a room that lacks a row, a permission that nobody uses, and a circle are
faults alike. Imports within functions and `import_module("tts....")` count like any other.
"""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.layers import Found, Uses, find_imports, rooms_of, uses_of

ROOT = Path(__file__).resolve().parent.parent


class Room(NamedTuple):
    """What a room may use; names of rooms in `tts` are written without it.

    Attributes:
        imports: Rooms that it may import.
        names: Rooms that it may name, but not import: in a table by which parts are looked up, or
            for annotations alone.
    """

    imports: str = ""
    names: str = ""


MAY: dict[str, Room] = {
    # Words: values, errors, protocols, and functions of these.
    "tts.version": Room(),
    "tts.errors": Room(),
    "tts.lazy": Room(),
    "tts.seeds": Room(),
    "tts.types": Room("budget errors"),
    "tts.events": Room(),
    "tts.budget": Room("errors"),
    "tts.protocols": Room("errors types", names="pipeline"),
    "tts.parts": Room(
        "errors",
        names="evals.benchmarks operators pipeline search.memories strategies tools verifiers",
    ),
    "tts.scoring": Room("errors protocols types"),
    "tts.languages": Room(),
    "tts.programs": Room("types"),
    "tts.answers": Room("errors types"),
    "tts.prompts": Room("answers languages types"),
    "tts.ngrams": Room("errors"),
    "tts.tasks": Room("errors types"),
    "tts.costs": Room("errors types"),
    "tts.storage": Room("errors"),
    "tts.voting": Room("protocols types"),
    "tts.allocation": Room("errors storage types"),
    "tts.trajectories": Room("answers errors protocols types", names="pipeline"),
    "tts.passages": Room("errors ngrams"),
    "tts.concepts": Room("storage"),
    "tts.graph_prompts": Room("prompts types"),
    "tts.buffered_stream": Room("errors types"),
    "tts.logprobs": Room(),
    "tts.score_quality": Room(),
    "tts.heads": Room("errors prompts protocols types"),
    # What runs models.
    "tts.kernels": Room(),
    "tts.bundled": Room("errors prompts score_quality tasks types"),
    "tts.engine.remote": Room("buffered_stream errors logprobs types"),
    "tts.engine": Room(
        "answers buffered_stream bundled costs engine.remote errors kernels logprobs prompts"
        " protocols types",
    ),
    # The catalogue: parts are found by name; it imports none of them.
    # Algorithms: they know engines, verifiers and the runtime by their protocols alone.
    "tts.engine_needs": Room("errors protocols types"),
    "tts.pipeline": Room("engine_needs errors parts protocols types"),
    "tts.search.memories": Room("errors parts passages prompts protocols types"),
    "tts.search": Room(
        "answers errors ngrams parts prompts protocols scoring search.memories trajectories types",
    ),
    "tts.tools": Room("parts passages pipeline protocols trajectories types verifiers._sandbox"),
    "tts.operators": Room(
        "allocation answers concepts errors graph_prompts heads lazy ngrams parts passages pipeline"
        " prompts protocols scoring search storage tools trajectories types voting",
    ),
    "tts.strategies": Room(
        "allocation errors lazy operators parts pipeline prompts search",
    ),
    "tts.verifiers._sandbox.inside": Room(),  # runs where this package is not
    "tts.verifiers._sandbox": Room("errors verifiers._sandbox.inside"),
    "tts.verifiers": Room(
        "answers bundled errors heads lazy parts programs prompts protocols scoring tasks"
        " trajectories types verifiers._sandbox voting",
    ),
    # What runs them.
    "tts.runtime": Room("answers budget costs errors pipeline protocols seeds storage types"),
    "tts.presets": Room("errors parts pipeline protocols storage types"),
    "tts.session": Room(
        "budget bundled engine errors parts pipeline presets prompts protocols runtime types",
    ),
    "tts.api": Room("budget pipeline presets runtime session types"),
    # Measuring.
    "tts.evals": Room(
        "allocation answers costs errors parts presets protocols runtime score_quality storage"
        " tasks types verifiers version voting",
    ),
    "tts.evals.laws": Room("allocation costs errors evals parts seeds types"),
    "tts.evals.benchmarks": Room(
        "answers engine errors evals evals.laws parts programs tasks types",
    ),
    "tts.evals.heads": Room(
        "answers errors evals heads protocols score_quality storage types verifiers"
    ),
    "tts.evals.calibration": Room("allocation errors evals presets strategies types"),
    "tts.sweeps": Room("errors presets session"),
    "tts.evaluation": Room(
        "budget engine errors evals evals.calibration parts pipeline presets runtime session sweeps"
        " types",
    ),
    "tts.tuning": Room(
        "errors evals evals.calibration evaluation operators presets runtime session types",
    ),
    "tts.evolution": Room(
        "answers errors operators parts prompts seeds session storage types verifiers",
    ),
    "tts.server": Room(
        "answers budget errors operators parts presets protocols runtime session types version",
    ),
    "tts.console": Room("errors evals types"),
    "tts.viewer": Room("answers bundled errors evals parts prompts storage tasks types"),
    "tts.bench.servers": Room("bundled errors"),
    "tts.bench": Room(
        "allocation answers bench.servers buffered_stream console costs engine errors evals"
        " evals.calibration evals.laws evaluation kernels operators parts pipeline presets"
        " prompts protocols runtime search seeds session storage strategies tasks tools types"
        " verifiers._sandbox voting",
    ),
    "tts.cli": Room(
        "allocation bench budget bundled console costs engine errors evals evals.benchmarks"
        " evals.calibration evals.heads evals.laws evaluation evolution heads parts presets"
        " runtime search server session storage tuning types verifiers version viewer",
    ),
    "tts.__main__": Room("cli"),
    # Doors, and those who use them.
    "tts.engines": Room("lazy", names="engine protocols types"),
    "tts": Room(
        "lazy version",
        names="api budget engines errors evaluation operators parts pipeline presets session"
        " strategies types verifiers",
    ),
    "examples": Room("engines operators tts"),
    "examples.evolution": Room(),  # what it holds runs where this package is not
    "tests.support": Room(
        "bench.servers engine errors heads operators parts pipeline presets protocols runtime"
        " search seeds server session types verifiers verifiers._sandbox",
    ),
}


def names(text: str) -> set[str]:
    """Return the rooms that a field of a row means."""
    return {room if room == "tts" else f"tts.{room}" for room in text.split()}


IMPORTS = {room: names(may.imports) for room, may in MAY.items()}
NAMES = {room: names(may.names) for room, may in MAY.items()}


def faults(found: dict[str, Uses]) -> list[str]:
    """Return where rooms use what their rows do not name, and what rows name for nothing."""
    wrong = [f"{room} has no row" for room in found.keys() - MAY.keys()]
    wrong += [f"{room} has a row and no module" for room in MAY.keys() - found.keys()]
    for room in found.keys() & MAY.keys():
        for kind, used, allowed in (
            ("import", found[room].imports, IMPORTS[room]),
            ("name", found[room].names, NAMES[room] | IMPORTS[room]),
        ):
            wrong += [
                f"{place}: {room} may not {kind} {other}"
                for other, places in used.items()
                if other not in allowed
                for place in places
            ]
        used_at_all = found[room].imports.keys() | found[room].names.keys()
        spare = (IMPORTS[room] - found[room].imports.keys()) | (NAMES[room] - used_at_all)
        wrong += [f"{room} may use {other} and does not" for other in spare]
    return sorted(wrong)


def test_every_room_uses_what_its_row_names_and_no_more() -> None:
    assert "\n".join(faults(uses_of(ROOT))) == ""


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert circle(IMPORTS) == []


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Return the rooms of a circle, the first of them twice; nothing without one."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@pytest.mark.parametrize("room", ["tts.operators", "tts.search", "tts.strategies"])
def test_algorithms_know_the_runtime_by_its_protocols_alone(room: str) -> None:
    below, waiting = set(), {room}
    while waiting:
        below |= waiting
        waiting = {other for each in waiting for other in IMPORTS[each]} - below
    assert not below & {
        "tts.runtime",
        "tts.engine",
        "tts.verifiers",
        "tts.session.runtime",
        "tts.api",
    }


def test_nobody_but_a_user_imports_the_whole_package() -> None:
    assert [room for room, may in IMPORTS.items() if "tts" in may] == ["examples"]


# The guard itself.


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
import tts.cli.main
from tts import pipeline, prompts
from tts.evals.runner import run
import os.path, numpy

TABLE = {"strategy": "tts.strategies"}

def later():
    '''A docstring that speaks of tts.engine.vllm and of `tts.api`.'''
    from tts.api import solve
    importlib.import_module("tts.session.runtime")
    import_module(f"tts.bench.{name}")

if TYPE_CHECKING:
    from tts.pipeline import Pipeline
"""
    assert sorted(find_imports(source)) == [
        Found(2, "tts.cli.main", True),
        Found(3, "tts.pipeline", True),
        Found(3, "tts.prompts", True),
        Found(4, "tts.evals.runner.run", True),
        Found(7, "tts.strategies", False),
        Found(11, "tts.api.solve", True),
        Found(12, "tts.session.runtime", True),
        Found(13, "tts.bench", True),
        Found(16, "tts.pipeline.Pipeline", False),
    ]


def test_a_relative_import_that_leaves_its_room_is_refused() -> None:
    assert list(find_imports("from . import neighbour")) == []
    with pytest.raises(AssertionError, match="line 1: a relative import that leaves its room"):
        list(find_imports("from ..runtime import trace"))


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        ("evals/page.py", "import tts.cli.main", "tts.evals may not import tts.cli"),
        (
            "tts/runtime/trace.py",
            "from tts.operators.vote import Vote",
            "tts.runtime may not import tts.operators",
        ),
        ("tts/search/tree.py", "from tts import runtime", "tts.search may not import tts.runtime"),
        ("tts/seeds.py", "import tts", "tts.seeds may not import tts"),
        ("kernels/merge.py", 'NAME = "tts.engine.kv"', "tts.kernels may not name tts.engine"),
    ],
)
def test_an_import_that_points_up_is_a_fault(
    file: str, line: str, fault: str, tmp_path: Path
) -> None:
    for room in ("tts", "tts.cli", "tts.operators", "tts.runtime", "tts.engine"):
        write(tmp_path / room.replace(".", "/") / "__init__.py", "")
    write(tmp_path / file, f'"""A module."""\n\n{line}\n')
    assert [one for one in faults(uses_of(tmp_path)) if " may not " in one] == [
        f"{file}:3: {fault}"
    ]


def test_a_new_room_needs_a_row(tmp_path: Path) -> None:
    write(tmp_path / "tts" / "attic" / "box.py", "")
    write(tmp_path / "tts" / "shed.py", "")
    write(tmp_path / "evals" / "loft" / "chest.py", "")
    assert list(rooms_of(tmp_path)) == ["tts.attic", "tts.shed", "tts.evals.loft"]
    without = [one for one in faults(uses_of(tmp_path)) if one.endswith("has no row")]
    assert without == [f"tts.{room} has no row" for room in ("attic", "evals.loft", "shed")]


def test_a_permission_that_nobody_uses_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path / "tts" / "budget.py", "")
    assert "tts.budget may use tts.errors and does not" in faults(uses_of(tmp_path))


def test_circles_are_found_through_several_rooms() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert len(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == 4  # the first one closes it


def write(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
