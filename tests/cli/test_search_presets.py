"""The presets of tree search from the command line, and the same from YAML and Python."""

import asyncio
import json
from pathlib import Path

import pytest

import tts
from tests.support.searching import steps_of, whole
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.presets.load import load_preset
from tts.tasks.chain import generate_problem

PRESETS = (
    "beam_search",
    "dvts",
    "rebase",
    "ets",
    "mcts",
    "coat",
    "ab_mcts",
    "best_first",
    "particle_filter",
    "lookahead",
    "backtracking",
)
SMALL = ("--set", "verifier=rule", "--set", "sampling.max_tokens=60")


def say(ask: Ask) -> Line:
    return Line(f"{ask.seed % 3}\n\nmore" if len(steps_of(ask)) < 2 else r"\boxed{7}")


@pytest.mark.parametrize("name", PRESETS)
def test_every_search_preset_runs_by_command(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(whole(say))

    monkeypatch.setattr(running, "make_engine", make_engine)
    command = ["eval", "chain", "--preset", name, "--limit", "1", *SMALL]
    assert run([*command, "--out", str(tmp_path), "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["runs"]
    assert figures["samples"] > 0 and figures["tokens"]["generated"] > 0
    trace = (Path(figures["out"]) / "trace.jsonl").read_text()
    (search,) = [e for e in map(json.loads, trace.splitlines()) if e.get("kind") == "search"]
    assert {node["text"] for node in search["tree"]["nodes"]} & {"0", "1", "2"}


def test_a_yaml_file_may_put_a_search_into_a_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "pipeline:\n"
        "  tree: {operator: tree_search, policy: {name: ets, width: 4}, verifier: rule}\n"
        "  more: {operator: sample, n: 2}\n"
        "  scored: {operator: score, from: more, verifier: rule}\n"
        "  answer: {operator: vote, from: [tree, scored]}\n"
        "sampling: {max_tokens: 60}\n"
    )
    preset = load_preset(str(file))

    async def solve() -> tts.Result:
        async with tts.Runtime(ScriptedEngine(say)) as runtime:
            return await runtime.run(preset, generate_problem("test", 1, 0))

    result = asyncio.run(solve())
    assert result.answer is not None
    assert (result.answer.text, result.answer.support.voters) == ("7", 4)
