"""`tts plugins`, `tts --plugin`, and what `tts presets show` says of every parameter."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.parts import catalog
from tts.presets.load import load_preset

Tts = Callable[..., Outcome]
MINE = '''"""Two samples (arXiv:2203.11171)."""
from pydantic import Field
from tts.operators import sample
from tts.parts.parameters import Parameters


class Config(Parameters):
    n: int = Field(2, ge=1, description="trajectories that are drawn")


def build(config):
    return sample(n=config.n)
'''


def test_every_part_is_listed_with_where_it_comes_from(tts: Tts) -> None:
    rows = tts("plugins", "list", "--json").json
    listed = {(row["kind"], row["name"]) for row in rows}
    kinds = [kind for kind in catalog.KINDS if kind != "policy"]
    assert {(kind, name) for kind in kinds for name in catalog.names(kind)} <= listed
    (rebase,) = [row for row in rows if row["name"] == "rebase"]
    assert (rebase["from"], rebase["arxiv"]) == ("strategies", ["2408.00724"])
    table = tts("plugins").out
    assert table == tts("plugins", "list").out
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_what_a_part_can_be_told_is_shown(tts: Tts, kind: str) -> None:
    for name in catalog.names(kind):
        shown = tts("plugins", "show", kind, name)
        assert shown.code == 0
        assert max(map(len, shown.out.splitlines())) <= 80


def test_defaults_meanings_words_and_sources_are_shown(tts: Tts) -> None:
    shown = tts("plugins", "show", "verifier", "prm", "--json").json
    assert shown["parameters"]["reduction"] == {
        "default": "min",
        "required": False,
        "meaning": "how step scores become the trajectory's score (last, min, prod, mean)",
    }
    assert "2305.20050" in shown["arxiv"]
    assert "required" in tts("plugins", "show", "operator", "select").out
    wrong = tts("plugins", "show", "strategie", "rebase")
    assert (wrong.code, "did you mean 'strategy'?" in wrong.err) == (2, True)
    wrong = tts("plugins", "show", "strategy", "rebas")
    assert (wrong.code, "did you mean 'rebase'?" in wrong.err) == (2, True)


def test_the_command_line_loads_a_module_from_the_current_folder(tts: Tts) -> None:
    Path("mine_of_cwd.py").write_text(MINE)
    Path("mine.yaml").write_text("strategy: mine_of_cwd\n")
    refused = tts("presets", "check", "mine.yaml")
    assert refused.code == 2 and "unknown strategy 'mine_of_cwd'" in refused.err
    assert "mine_of_cwd" not in sys.modules
    checked = tts("--plugin", "mine_of_cwd", "presets", "check", "mine.yaml")
    assert (checked.code, checked.out) == (0, "mine.yaml: good; sample\n")
    assert {
        "kind": "plug-in",
        "name": "mine_of_cwd",
        "from": "--plugin",
        "summary": "Two samples (arXiv:2203.11171).",
        "arxiv": ["2203.11171"],
    } in tts("plugins", "list", "--json").json
    lost = tts("--plugin", "mine_of_nowhere", "presets", "list")
    assert (lost.code, "is it installed, or on PYTHONPATH?" in lost.err) == (2, True)


@pytest.mark.parametrize("name", catalog.preset_files())
def test_what_show_prints_is_the_preset_itself(tts: Tts, name: str) -> None:
    shown = tts("presets", "show", name).out
    Path("shown.yaml").write_text(shown)
    again, first = load_preset("shown.yaml"), load_preset(name)
    assert again.pipeline.to_mapping() == first.pipeline.to_mapping()
    assert (again.sampling, again.budget) == (first.sampling, first.budget)
    assert again.description == first.description


def test_show_says_what_set_a_value_and_what_it_was(tts: Tts) -> None:
    Path("mine.yaml").write_text(
        "extends: cascade\nparameters:\n  n: 6\nsampling: {top_p: 0.9}\nbudget: 8k\n"
    )
    shown = tts("presets", "show", "mine.yaml", "--set", "at_least=0.8").out.splitlines()
    assert "  n: 6  # mine.yaml:3; default 4" in shown
    assert "  # cheap samples that are drawn first" in shown
    assert "  at_least: 0.8  # --set at_least=0.8; default 0.9" in shown
    assert "  then: self_consistency  # default" in shown
    assert "  top_p: 0.9  # mine.yaml:4; default 1.0" in shown
    assert "  temperature: 0.8  # default" in shown
    assert "budget: 8k" in shown
    assert any("arXiv:2310.03094" in line for line in shown)
    text = (
        "pipeline:\n  a: {operator: sample}\n  b:\n    operator: vote\n    from: a\n    quorum: 2\n"
    )
    Path("graph.yaml").write_text(text)
    graph = tts("presets", "show", "graph.yaml").out.splitlines()
    assert "    quorum: 2  # graph.yaml:6; default 1" in graph
    assert "    min_votes: 1  # default" in graph
