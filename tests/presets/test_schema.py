"""The schema of presets takes what presets are, and no more."""

import json
from typing import Any

import pytest
import yaml

from tests.support.commands import Outcome
from tts.cli.main import run
from tts.parts import catalog
from tts.presets.schema import preset_schema

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")


def faults(preset: Any) -> list[str]:
    checker = jsonschema.Draft202012Validator(preset_schema())
    return [error.message for error in checker.iter_errors(preset)]


def test_every_preset_that_ships_fits() -> None:
    files = catalog.preset_files()
    found = {name: faults(yaml.safe_load(path.read_text())) for name, path in files.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("preset", "fault"),
    [
        ({"strategy": "self_consistency", "parameters": {"m": 3}}, "'m' was unexpected"),
        ({"strategy": "self_consistent"}, "is not valid under any"),
        ({"strategy": "single", "sampling": {"temperature": "hot"}}, "is not of type 'number'"),
        ({"pipeline": {"draft": {"operator": "sample", "k": 3}}}, "'k' was unexpected"),
        ({"pipeline": {"draft": {"n": 3}}}, "'operator' is a required property"),
        ({"steps": 3}, "'steps' was unexpected"),
    ],
)
def test_what_is_wrong_is_seen(preset: Any, fault: str) -> None:
    assert any(fault in message for message in faults(preset))


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(run(["presets", "schema"]), *capsys.readouterr())
    assert outcome.code == 0 and json.loads(outcome.out) == preset_schema()
