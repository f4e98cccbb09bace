"""What the pages ask for, by address; the server and a page of one file answer from here."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tts.errors import InputError
from tts.evals.choices import chosen_rows
from tts.evals.units import LABELS
from tts.viewer.parameters import parameters_of_nodes
from tts.viewer.problem import problem_view
from tts.viewer.prompts import prompts_of
from tts.viewer.runs import Library

Query = Mapping[str, str]


def runs(library: Library, _: Query) -> dict[str, Any]:
    """Return the figures of every run."""
    return {"runs": [run.row() for run in library.runs().values()], "units": dict(LABELS)}


def run(library: Library, query: Query) -> dict[str, Any]:
    """Return a run's figures, what it chose for which difficulty, and its problems."""
    found = library.run(query.get("run", ""))
    return {
        "run": found.row(),
        "config": found.config,
        "choices": [asdict(row) for row in chosen_rows(found.stored.records)],
        "problems": list(found.problems()),
    }


def problem(library: Library, query: Query) -> dict[str, Any]:
    """Return one problem of a run."""
    return problem_view(library.run(query.get("run", "")), *_place(query))


def parameters(library: Library, query: Query) -> dict[str, Any]:
    """Return what the nodes of a run's pipeline were set to."""
    found = library.run(query.get("run", ""))
    return {"parameters": parameters_of_nodes(found.pipeline)}


def prompts(library: Library, query: Query) -> dict[str, Any]:
    """Return the prompts of one problem, and what was written to them."""
    return {"prompts": prompts_of(library.run(query.get("run", "")), *_place(query))}


ANSWERS: Mapping[str, Callable[[Library, Query], dict[str, Any]]] = {
    "runs": runs,
    "run": run,
    "problem": problem,
    "parameters": parameters,
    "prompts": prompts,
}


def _place(query: Query) -> tuple[str, int]:
    repeat = query.get("repeat", "0")
    if not repeat.isdecimal():
        raise InputError(f"repeat is a number from 0, not {repeat!r}")
    return query.get("problem", ""), int(repeat)
