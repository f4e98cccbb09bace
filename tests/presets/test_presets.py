"""Presets: what a YAML file becomes, and what is said when it is wrong."""

from pathlib import Path

import pytest

from tts.errors import PresetError
from tts.parts import catalog
from tts.presets.load import load_preset
from tts.types import Budget

PIPELINE = """
pipeline:
  draft: {operator: sample, n: 8}
  judge: {operator: score, from: draft, verifier: prm}
  answer: {operator: vote, from: [judge], weights: prm, stop: settled}
sampling: {temperature: 0.5, stop: [END]}
budget: {tokens: 100, seconds: 2.5, sequential: 50}
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", catalog.preset_files())
def test_every_shipped_preset_loads_and_round_trips(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert preset.description.endswith(".")
    assert preset.pipeline.sinks


def test_a_pipeline_block_becomes_a_graph(tmp_path: Path) -> None:
    preset = load_preset(write(tmp_path, PIPELINE))
    assert set(preset.pipeline.graph.edges) == {("draft", "judge"), ("judge", "answer")}
    assert preset.sampling.temperature == 0.5
    assert preset.sampling.stop == ("END",)
    assert preset.budget == Budget(tokens=100, seconds=2.5, sequential=50)


def test_a_graph_round_trips_through_yaml(tmp_path: Path) -> None:
    import yaml

    first = load_preset(write(tmp_path, PIPELINE))
    again = yaml.safe_dump({"pipeline": first.pipeline.to_mapping()})
    second = load_preset(write(tmp_path, again, "again.yaml"))
    assert second.pipeline.to_mapping() == first.pipeline.to_mapping()
    assert set(second.pipeline.graph.edges) == set(first.pipeline.graph.edges)


def test_extends_takes_over_what_is_not_said(tmp_path: Path) -> None:
    text = "extends: early_stop\nparameters: {n: 8}\nsampling: {top_p: 0.9}\n"
    preset = load_preset(write(tmp_path, text))
    assert preset.pipeline.to_mapping() == {
        "sample": {"operator": "sample", "n": 8, "batch": 4},
        "vote": {"operator": "vote", "from": "sample", "stop": "settled", "stop_at": 0.95},
    }
    assert (preset.sampling.temperature, preset.sampling.top_p) == (0.8, 0.9)


def test_overrides(tmp_path: Path) -> None:
    preset = load_preset("self_consistency", ["n=3", "sampling.temperature=0.1", "budget=8k,5s"])
    assert preset.pipeline.max_inputs()["vote"] == 3
    assert preset.sampling.temperature == 0.1
    assert preset.budget == Budget(tokens=8_000, seconds=5.0)
    node = load_preset(write(tmp_path, PIPELINE), ["draft.n=2"])
    assert node.pipeline.max_inputs()["judge"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategy: [", r"mine\.yaml:1: not valid YAML"),
        ("- 1\n", "expected a mapping"),
        ("a: 1\nb: &b [*b]\n", r"mine\.yaml:2: not valid YAML: nested more than 40 levels deep"),
        ("a: " + "[" * 10_000, r"mine\.yaml:1: not valid YAML: nested more than 40 levels deep"),
        ("strategy: single\nx: 2026-13-01\n", r"mine\.yaml:2: not valid YAML: month must be"),
        ("strategy: !own single\n", r"mine\.yaml:1: not valid YAML: could not determine"),
        ("#" * 2_000_000, r"mine\.yaml: not valid YAML: longer than 1,048,576 characters"),
        ("strategy: single\nbudget: 1e400\n", r"mine\.yaml:2: '1e400' .*is too large a number"),
        ("strategy: single\nstrategy: single\n", r"mine\.yaml:2: 'strategy' is given twice"),
        (
            "strategi: single\n",
            r"mine\.yaml:1: a preset has no 'strategi'; did you mean 'strategy'",
        ),
        ("description: x\n", "names a `strategy` or a `pipeline`"),
        ("\nstrategy: self_consistancy\n", r"mine\.yaml:2: .*did you mean 'self_consistency'"),
        (
            "strategy: best_of_n\nparameters:\n  n: 4\n  verifer: prm\n",
            r"mine\.yaml:4: strategy 'best_of_n' has no 'verifer'; did you mean 'verifier'",
        ),
        ("strategy: single\nsampling: {max_tokens: 0}\n", r"mine\.yaml:2: .*max_tokens = 0"),
        ("strategy: self_consistency\nparameters: {n: many}\n", r":2: .*n = 'many'"),
        ("strategy: self_consistency\nparameters: 4\n", "expects keys and values"),
        ("strategy: single\nbudget: 8x\n", r"mine\.yaml:2: cannot read '8x'"),
        ("strategy: single\nbudget: {token: 8}\n", "did you mean 'tokens'"),
        ("strategy: single\nbudget: {tokens: lots}\n", "must be a number"),
        ("strategy: single\nbudget: {tokens: .inf}\n", r"mine\.yaml:2: .*positive and finite"),
        ("extends: nothing\n", r"mine\.yaml:1: extends 'nothing'"),
        ("extends: mine.yaml\n", "extend each other in a circle"),
        ("pipeline: {}\n", "expected nodes"),
        ("pipeline:\n  a: {n: 3}\n", r"mine\.yaml:2: node 'a' needs an `operator`"),
        ("pipeline:\n  a: {operator: smple}\n", r":2: .*did you mean 'sample'"),
        (
            "pipeline:\n  a: {operator: sample}\n  b: {operator: vote, from: c}\n",
            r"mine\.yaml:3: unknown node 'c'",
        ),
        (
            "pipeline:\n  a: {operator: vote, from: b}\n  b: {operator: vote, from: a}\n",
            r"nodes form a circle: a -> b -> a",
        ),
        ("pipeline:\n  a: {operator: vote}\n", r"mine\.yaml:2: node 'a': .*needs a `from`"),
        (
            "pipeline:\n  a: {operator: sample}\n"
            "  b: {operator: vote, from: a, weights: prm, stop_at: 0.9}\n",
            r"mine\.yaml:3: .*stop_at counts votes",
        ),
    ],
)
def test_errors_name_file_line_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PresetError, match=message):
        load_preset(write(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("n", "write KEY=VALUE"),
        ("m=3", "--set m=3: strategy 'self_consistency' has no 'm'"),
        ("n=[", "cannot read the value"),
        ("n=" + "[" * 1_000, "cannot read the value .*nested more than 40 levels deep"),
        ("n=0", "--set n=0: .*greater than or equal to 1"),
        ("sampling.temprature=1", "did you mean 'temperature'"),
    ],
)
def test_overrides_that_are_wrong_are_named(override: str, message: str) -> None:
    with pytest.raises(PresetError, match=message):
        load_preset("self_consistency", [override])


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(PresetError, match="did you mean 'single'"):
        load_preset("singel")
    with pytest.raises(PresetError, match="no such file"):
        load_preset("nowhere.yaml")


def test_a_path_is_a_name_and_what_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("strategy: single\n")
    assert load_preset(path).name == "mine"
    with pytest.raises(PresetError, match=r"expected a preset's name or file, got 3 \(int\)"):
        load_preset(3)  # type: ignore[arg-type]
