"""No test problem is calibrated on, whatever file it comes from."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.allocation.test_policy_file import policy
from tts.allocation.policy_file import save_policy
from tts.cli.main import run
from tts.errors import ProblemError
from tts.evals import test_sets
from tts.evals.calibration.held_out import check_apart, check_held_out
from tts.parts.build import build_part
from tts.presets.load import load_preset
from tts.types import Problem


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make "What is 6 * 7?" the only published test problem."""
    # printf "What is 6 * 7?" | sha256sum
    (tmp_path / "sets.txt").write_text("sums e3304f3cff44\n")
    monkeypatch.setattr(test_sets, "_FILE", tmp_path / "sets.txt")
    test_sets._keys.cache_clear()
    yield
    test_sets._keys.cache_clear()


def test_a_test_problem_is_named(known: None) -> None:
    check_held_out([Problem("a", "What is 6 * 8?")])
    with pytest.raises(ProblemError, match=r"'b' is one of the test problems of sums"):
        check_held_out([Problem("a", "What is 6 * 8?"), Problem("b", "What is\n 6  * 7?")])


def test_a_policy_is_not_measured_on_its_own_problems(tmp_path: Path) -> None:
    save_policy(policy(problems="0123456789ab e3304f3cff44"), tmp_path / "policy.yaml")
    preset = load_preset("auto", [f"policy={tmp_path / 'policy.yaml'}"])
    check_apart(preset, [Problem("a", "What is 6 * 8?")])
    check_apart(load_preset("single"), [Problem("b", "What is 6 * 7?")])
    with pytest.raises(ProblemError, match="1 of 2 problems, such as 'b', are among those"):
        check_apart(preset, [Problem("a", "What is 6 * 8?"), Problem("b", "What is 6 * 7?")])


def data(name: str) -> Path:
    path = Path(os.environ.get("TTS_DATA_DIR") or "none") / name
    if not path.is_file():
        pytest.skip(f"TTS_DATA_DIR does not name a folder with {name}")
    return path


def test_calibration_splits_hold_no_test_problem() -> None:
    data("math_test.jsonl")
    for name, number in (("math", 4500), ("gsm8k", 2000)):
        problems = list(build_part("benchmark", name, {}).problems("calibration"))
        assert len(problems) == number
        check_held_out(problems)
    assert len(list(build_part("benchmark", "math", {}).problems("test"))) == 500


@pytest.mark.parametrize("name", ["gsm8k", "file"])
def test_tts_calibrate_refuses_a_test_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = json.loads(data("gsm8k_test.jsonl").read_text("utf-8").splitlines()[3])
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text(json.dumps(row | {"id": "mine"}) + "\n", "utf-8")
    assert run(["calibrate", name, "--data", "mine.jsonl"]) == 2
    assert "'mine' is one of the test problems of gsm8k" in capsys.readouterr().err
    assert not Path("runs").exists()
