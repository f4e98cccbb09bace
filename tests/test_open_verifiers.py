"""From the verifiers that a pipeline names to verifiers that work."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripts import says
from tts.engine import running
from tts.engine.scripted import ScriptedEngine
from tts.errors import InputError, PresetError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.presets.load import load_preset
from tts.protocols import Verifier
from tts.session.runtime import Runtime
from tts.verifiers.prm import PRM


def open_all(*names: str, models: dict[str, str] | None = None) -> dict[str, Verifier]:
    pipelines = [sample() >> score(verifier=name) for name in names]

    async def run() -> dict[str, Verifier]:
        runtime = Runtime(ScriptedEngine(says(1)), models=models)
        async with runtime, runtime.serving(pipelines) as core:
            return dict(core.verifiers)

    return asyncio.run(run())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the models of the engines that were started."""
    models: list[str] = []

    class Engine(ScriptedEngine):
        def __init__(self, model: str, *, runner: str, gpu_memory_utilization: float) -> None:
            super().__init__(says(1))
            models.append(model)

        async def start(self) -> Any:
            return self

    monkeypatch.setattr(running, "VLLMEngine", Engine)
    return models


def test_verifiers_of_one_model_share_its_engine(opened: list[str]) -> None:
    verifiers = open_all("prm", "prm(reduction=last)", "orm")
    assert set(verifiers) == {"prm", "prm(reduction=last)", "orm"}
    assert opened == ["bundled:prm"]


def test_a_model_is_chosen_by_the_bare_name(opened: list[str]) -> None:
    open_all("prm(reduction=last)", "orm", models={"prm": "my/prm"})
    assert sorted(opened) == ["bundled:prm", "my/prm"]


def test_verifiers_that_others_ask_are_opened_too(opened: list[str]) -> None:
    verifiers = open_all("ensemble(verifiers=[rule, calibrated(verifier=prm)])")
    assert {"rule", "calibrated(verifier=prm)", "prm"} <= set(verifiers)
    assert isinstance(verifiers["prm"], PRM)


@pytest.mark.parametrize(
    ("name", "models", "message"),
    [
        ("prn", {}, "did you mean 'prm'"),
        ("prm(reduction=first)", {}, r"verifier 'prm\(reduction=first\)': reduction = 'first': "),
        ("prm(reductoin=last)", {}, "has no 'reductoin'; did you mean 'reduction'"),
        ("rule(k=3)", {}, "has no 'k'; it takes none"),
        ("ensemble(verifiers=[nobody])", {}, "unknown verifier 'nobody'"),
        ("confidence", {"confidence": "my/model"}, "takes no model"),
    ],
)
def test_what_cannot_be_opened_is_named(
    opened: list[str], name: str, models: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_all(name, models=models)


def test_a_preset_with_a_wrong_option_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("strategy: best_of_n\nparameters: {verifier: prm(reductoin=last)}\n")
    with pytest.raises(PresetError, match=r"mine\.yaml:2: .*did you mean 'reduction'"):
        load_preset(str(file))
    file.write_text("strategy: best_of_n\nparameters: {verifier: my_own}\n")
    assert load_preset(str(file)).pipeline.sinks == ("select",)
