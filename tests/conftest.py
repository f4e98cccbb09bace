"""Fixtures that every folder of tests may use, and which tests need a real engine."""

import asyncio
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.commands import Outcome, add_up, write_sums
from tts.cli.main import run
from tts.engine import host, running
from tts.engine.scripted import ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.engine.vllm import VLLMEngine
from tts.parts import plugins


def pytest_configure(config: pytest.Config) -> None:
    """Load Intel's OpenMP before any test imports torch; see `tts.engine.host`."""
    host.preload_openmp()
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on the shared engine; those that start one of their own say so themselves."""
    for item in items:
        if "vllm_engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after each test which plug-ins it loaded."""
    monkeypatch.setattr(plugins, "_LOADED", {})


@pytest.fixture(scope="session")
def vllm_engine() -> Iterator[VLLMEngine]:
    """A real vLLM with the bundled reasoner, started once; usable from any event loop."""
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    engine = VLLMEngine("bundled:reasoner", dtype="float32", max_model_len=2048, cpu_threads=1)
    asyncio.run(_start(engine))
    yield engine
    asyncio.run(engine.aclose())


async def _start(engine: VLLMEngine) -> None:
    await engine.start()


@pytest.fixture
def tts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run a command line in an empty folder, on a fresh scripted engine."""

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(add_up)

    monkeypatch.setattr(running, "make_engine", make_engine)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Five sums as a benchmark file."""
    return write_sums(tmp_path / "sums.jsonl", 5)
