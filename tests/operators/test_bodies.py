"""Pipelines within nodes, as presets write them."""

from pathlib import Path

import pytest
import yaml

from tts.errors import PresetError
from tts.presets.load import load_preset

NESTED = """
pipeline:
  draft: {operator: sample, n: 4}
  mend:
    operator: loop
    from: draft
    rounds: 3
    until: {measure: prm, at_least: 0.9}
    body:
      revise: {operator: refine}
      judge: {operator: score, from: revise, verifier: prm}
  answer: {operator: vote, from: mend}
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_nested_graph_round_trips(tmp_path: Path) -> None:
    first = load_preset(write(tmp_path, NESTED))
    mapping = first.pipeline.to_mapping()
    assert mapping["mend"]["body"] == {
        "revise": {"operator": "refine"},
        "judge": {"operator": "score", "from": "revise", "verifier": "prm"},
    }
    again = load_preset(write(tmp_path, yaml.safe_dump({"pipeline": mapping}), "again.yaml"))
    assert again.pipeline.to_mapping() == mapping


def test_bodies_may_name_presets_and_strategies(tmp_path: Path) -> None:
    text = (
        "pipeline:\n"
        "  draft: {operator: sample, n: 2}\n"
        "  some: {operator: vote, from: draft}\n"
        "  more:\n"
        "    operator: route\n"
        "    from: some\n"
        "    when: {measure: support, at_least: 0.9}\n"
        "    then: {strategy: self_consistency, parameters: {n: 3}}\n"
        "    otherwise: self_consistency\n"
    )
    mapping = load_preset(write(tmp_path, text)).pipeline.to_mapping()
    assert mapping["more"]["then"]["sample"] == {"operator": "sample", "n": 3}
    assert mapping["more"]["otherwise"]["sample"] == {"operator": "sample", "n": 16}


def test_overrides_reach_into_bodies(tmp_path: Path) -> None:
    preset = load_preset(write(tmp_path, NESTED), ["mend.body.revise.rounds=2"])
    assert preset.pipeline.to_mapping()["mend"]["body"]["revise"]["rounds"] == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("operator: refine", "operator: refin", r"mine\.yaml:10: .*did you mean 'refine'"),
        ("refine}", "refine, rouds: 2}", r":10: operator 'refine' has no 'rouds'; did you mean"),
        ("from: revise", "from: revize", r":11: unknown node 'revize'"),
        ("{operator: refine}", "{operator: sample}", r":4: .*the body reads no trajectories"),
        ("at_least: 0.9", "at_leest: 0.9", r":8: operator 'loop' has no 'until.at_leest'"),
        ("measure: prm", "measure: orm", r":4: node 'mend': it needs the score 'orm'"),
        ("rounds: 3", "rounds: 0", r":7: operator 'loop': rounds = 0"),
        (
            "    body:\n      revise: {operator: refine}\n"
            "      judge: {operator: score, from: revise, verifier: prm}\n",
            "    body: mine.yaml\n",
            r"there is no such file",
        ),
        (
            "    body:\n      revise: {operator: refine}\n"
            "      judge: {operator: score, from: revise, verifier: prm}\n",
            "    body: {strategy: singel}\n",
            r":9: .*did you mean 'single'",
        ),
    ],
)
def test_errors_name_the_line_within_the_body(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in NESTED
    with pytest.raises(PresetError, match=message):
        load_preset(write(tmp_path, NESTED.replace(old, new)))


def test_presets_nested_in_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    body = f"pipeline:\n  a: {{operator: sample}}\n  b: {{operator: loop, from: a, body: {path}}}\n"
    with pytest.raises(PresetError, match="nested in each other in a circle"):
        load_preset(write(tmp_path, body))
