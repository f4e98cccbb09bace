"""Fixtures that every folder of tests may use."""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from hypothesis import settings

from tts import plugins
from tts.engine import host
from tts.engine.vllm import VLLMEngine


def pytest_configure(config: pytest.Config) -> None:
    """Load Intel's OpenMP before any test imports torch; see `tts.engine.host`."""
    host.preload_openmp()
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")


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
