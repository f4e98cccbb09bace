"""Plug-ins: found by entry point or loaded on purpose, and never imported for being named."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tts
from tts.errors import InputError, PresetError
from tts.parts import catalog, plugins
from tts.parts.build import build_part
from tts.parts.plugins import load_plugin
from tts.presets.load import load_preset

STRATEGY = '''"""Two samples."""
from pydantic import Field
from tts.operators import sample
from tts.parts.parameters import Parameters


class Config(Parameters):
    n: int = Field(2, ge=1, description="trajectories that are drawn")


def build(config):
    return sample(n=config.n)
'''
OPERATOR = '''"""Passes nothing on."""
from tts.operators.base import OperatorModel, node
from tts.protocols import Spec


class Swallow(OperatorModel):
    @property
    def spec(self):
        return Spec(fan_out=0)

    async def run(self, context, inputs, outlet):
        async for _ in context.merge(inputs):
            pass


swallow = node(Swallow)
'''
VERIFIER = '''"""Always one half."""
from tts.parts.parameters import Parameters
from tts.types import Score
from tts.protocols import VerifierSpec


class Config(Parameters):
    pass


class Half:
    spec = VerifierSpec(unit_interval=True)

    async def score(self, context, trajectories):
        return [Score(0.5) for _ in trajectories]

    async def aclose(self):
        pass


def build(config):
    return Half()
'''


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """Write a module of a name of its own, importable; returns the name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        name = f"plugin_{abs(hash((request.node.name, text)))}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def preset(text: str) -> str:
    Path("mine.yaml").write_text(text)
    return "mine.yaml"


@pytest.mark.parametrize(
    "text",
    [
        "strategy: NAME.part\n",
        "pipeline: {a: {operator: NAME.part}}\n",
        "pipeline: {a: {operator: tree_search, policy: {name: NAME.part}}}\n",
        "strategy: mcts\nparameters: {memory: {name: NAME.part}}\n",
        "strategy: mcts\nparameters: {memory: {name: function, function: NAME.part.recall}}\n",
        "strategy: cascade\nparameters: {then: NAME.part}\n",
        "pipeline: {a: {operator: delegate, engine: e, body: {strategy: NAME.part}}}\n",
    ],
)
def test_a_preset_imports_no_module_by_itself(module: Callable[[str], str], text: str) -> None:
    name = module("raise SystemExit('it ran')")
    with pytest.raises(PresetError, match=r"mine\.yaml:\d+: .*a name alone imports no module"):
        load_preset(preset(text.replace("NAME.part", f"{name}.part")))
    with pytest.raises(PresetError, match=f"tts --plugin {name}"):
        load_preset(preset(text.replace("NAME.part", f"{name}.part")))
    assert name not in sys.modules


def test_neither_does_the_name_of_a_verifier_or_a_benchmark(module: Callable[[str], str]) -> None:
    name = f"{module('raise SystemExit')}.part"
    load_preset(preset(f"strategy: best_of_n\nparameters: {{verifier: {name}}}\n"))  # the caller's
    for kind in ("verifier", "benchmark"):
        with pytest.raises(InputError, match="a name alone imports no module"):
            build_part(kind, name, {})
    assert name not in sys.modules


def test_what_was_loaded_on_purpose_is_named_by_its_path(module: Callable[[str], str]) -> None:
    strategy, operator, verifier = module(STRATEGY), module(OPERATOR), module(VERIFIER)
    for name in (strategy, operator, verifier):
        load_plugin(name)
    loaded = load_preset(preset(f"strategy: {strategy}\nparameters: {{n: 3}}\n"))
    assert loaded.pipeline.to_mapping() == {"sample": {"operator": "sample", "n": 3}}
    with pytest.raises(PresetError, match=r"mine\.yaml:2: strategy .* has no 'm'; it has n"):
        load_preset(preset(f"strategy: {strategy}\nparameters: {{m: 3}}\n"))
    text = f"pipeline:\n  a: {{operator: sample}}\n  b: {{operator: {operator}, from: a}}\n"
    assert load_preset(preset(text)).pipeline.to_mapping()["b"]["operator"] == operator
    assert build_part("verifier", verifier, {}).spec.unit_interval
    assert {strategy, operator, verifier} <= set(plugins.loaded())


def test_what_a_module_lacks_is_said(module: Callable[[str], str]) -> None:
    bare, half = module('"""Nothing."""'), module("Config = 3\ndef build(config): ...")
    load_plugin(bare)
    load_plugin(half)
    with pytest.raises(InputError, match=f"no strategy: .* {bare} lacks 'Config' and 'build'"):
        catalog.load("strategy", bare)
    with pytest.raises(
        InputError, match=f"{half}: Config is no class of tts.parts.parameters.Param"
    ):
        build_part("benchmark", half, {})
    with pytest.raises(InputError, match=f"{bare} is no operator: it defines no .*OperatorModel"):
        load_preset(preset(f"pipeline: {{a: {{operator: {bare}}}}}\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('no licence')", "cannot be imported: ValueError: no licence"),
        (None, "cannot be imported: ModuleNotFoundError: .* is it installed, or on PYTHONPATH"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_a_sentence(
    module: Callable[[str], str], text: str | None, message: str
) -> None:
    name = "plugin_nowhere" if text is None else module(text)
    with pytest.raises(InputError, match=message):
        load_plugin(name)


def test_an_installed_distribution_offers_parts(tmp_path: Path) -> None:
    """In a process of its own: what is installed does not change while one runs."""
    (tmp_path / "fast.py").write_text(STRATEGY)
    (tmp_path / "half.py").write_text(VERIFIER)
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tts.strategies]\nquick = fast\nsingle = fast\ngone = nowhere\n"
        "[tts.verifiers]\nhalf = half\n"
    )
    (tmp_path / "mine.yaml").write_text("strategy: quick\nparameters: {n: 5}\n")
    code = """
import json
from tts.parts import catalog
from tts.errors import InputError
from tts.parts.build import load_verifier
from tts.presets.load import load_preset

said = []
for name in ("gone", "quik"):
    try:
        catalog.load("strategy", name)
    except InputError as error:
        said.append(str(error))
print(json.dumps({
    "nodes": load_preset("mine.yaml").pipeline.to_mapping(),
    "from": {n: catalog.sources("strategy")[n] for n in ("quick", "single")},
    "verifier": load_verifier("half")[0].__name__,
    "name": catalog.name_of("strategy", "fast"),
    "said": said,
}))
"""
    root = str(Path(tts.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    assert seen["nodes"] == {"sample": {"operator": "sample", "n": 5}}
    assert seen["from"] == {"quick": "others", "single": "strategies"}, "ours come first"
    assert (seen["verifier"], seen["name"]) == ("half", "quick")
    assert seen["said"] == [
        "'gone', which others offers in tts.strategies, cannot be imported: "
        "ModuleNotFoundError: No module named 'nowhere'; is it installed, or on PYTHONPATH?",
        "unknown strategy 'quik'; did you mean 'quick'?",
    ]
