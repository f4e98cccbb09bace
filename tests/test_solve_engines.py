"""`tts.solve` with presets that ask further engines: what it starts, keeps, shares and closes."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from tts import api
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.errors import CapabilityError, EngineError, InputError
from tts.operators.delegate import delegate
from tts.presets.load import load_preset

SUM = "What is 3 + 4?"
MIXTURE = load_preset("mixture", ["n=4", "engines=[bundled:draft, '', bundled:reasoner]"])
VOTE = load_preset("self_consistency", ["n=4"])
BEST = load_preset("best_of_n", ["n=4"])
HANGS = 999  # tokens


class Engine(ScriptedEngine):
    """Says 7, scores everything 0.5, and says nothing any more once it is closed.

    A request for `HANGS` tokens never ends.
    """

    hangs: ClassVar = threading.Event()

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(self._line, rewards=lambda request: (0.5,))
        self.spec = spec
        self.is_closed = False

    def _line(self, ask: Ask) -> Line:
        assert not self.is_closed
        if ask.request.sampling.max_tokens == HANGS:
            self.hangs.set()
            return Line("", hangs=True)
        return Line(r"\boxed{7}")

    async def aclose(self) -> None:
        self.is_closed = True
        await super().aclose()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Return the engines that `solve` starts in place of real ones; `no/model` cannot."""
    engines: list[Engine] = []

    async def make_engine(spec: EngineSpec) -> Engine:
        if spec.model == "no/model":
            raise EngineError("no such model")
        engines.append(Engine(spec))
        return engines[-1]

    api.shutdown()
    monkeypatch.setattr(running, "make_engine", make_engine)
    yield engines
    api.shutdown()


def models(engines: list[Engine]) -> list[tuple[str, float | None]]:
    return [(engine.spec.model, engine.spec.memory) for engine in engines]


def test_a_name_says_itself_which_engine_it_is(started: list[Engine]) -> None:
    for _ in range(2):
        result = api.solve(SUM, preset=MIXTURE)
        assert result.answer is not None and result.answer.support.votes == 4
    # The third is the session's own engine; none is started twice, and the two share a GPU.
    assert models(started) == [("bundled:reasoner", 0.45), ("bundled:draft", 0.45)]
    api.shutdown()
    assert all(engine.is_closed for engine in started)


def test_a_further_model_takes_its_share_from_those_that_run(started: list[Engine]) -> None:
    api.solve(SUM, preset=VOTE)
    api.solve(SUM, preset=load_preset("self_consistency", ["n=2"]))
    assert models(started) == [("bundled:reasoner", 0.9)]
    api.solve(SUM, preset=BEST)
    assert models(started[1:]) == [("bundled:prm", 0.3), ("bundled:reasoner", 0.6)]
    assert [engine.is_closed for engine in started] == [True, False, False]
    api.solve(SUM, preset=MIXTURE)  # (0.9 - 0.3) / 2 each; the reward model stays
    assert models(started[3:]) == [("bundled:reasoner", 0.3), ("bundled:draft", 0.3)]
    api.solve(SUM, preset=BEST)
    api.solve(SUM, preset=VOTE)
    assert len(started) == 5


def test_verifiers_without_a_model_start_nothing(started: list[Engine]) -> None:
    api.solve(SUM, preset=VOTE)
    api.solve(SUM, preset=load_preset("weighted_vote", ["n=2", "verifier=rule"]))
    assert len(started) == 1


def test_another_model_replaces_all(started: list[Engine]) -> None:
    api.solve(SUM, preset=BEST)
    api.solve(SUM, preset=VOTE, model="other")
    assert models(started[2:]) == [("other", 0.9)]
    assert all(engine.is_closed for engine in started[:2])


def test_no_engine_is_exchanged_under_a_running_call(started: list[Engine]) -> None:
    async def run() -> None:
        calls = (api.asolve(SUM, preset=preset, seed=1) for preset in (VOTE, BEST, MIXTURE, VOTE))
        for result in await asyncio.gather(*calls):
            assert result.answer is not None and result.answer.text == "7", result.reason

    asyncio.run(run())


def test_a_model_that_cannot_start_leaves_the_next_call_a_fresh_start(
    started: list[Engine],
) -> None:
    api.solve(SUM, preset=VOTE)
    with pytest.raises(EngineError, match="no such model"):
        api.solve(SUM, preset=load_preset("mixture", ["engines=[no/model, '']"]))
    assert all(engine.is_closed for engine in started)
    assert api.solve(SUM, preset=VOTE, seed=1).answer is not None


def test_shutdown_ends_the_calls_under_way(started: list[Engine]) -> None:
    hanging = load_preset("self_consistency", ["n=2", f"sampling.max_tokens={HANGS}"])

    async def run() -> None:
        call = asyncio.create_task(api.asolve(SUM, preset=hanging))
        waits = asyncio.create_task(api.asolve(SUM, preset=BEST))  # until nothing runs
        assert await asyncio.to_thread(Engine.hangs.wait, 5)
        await asyncio.to_thread(api.shutdown)
        for ended in (call, waits):
            with pytest.raises(EngineError, match="shutdown"):
                await asyncio.wait_for(ended, 5)

    asyncio.run(run())
    assert len(started) == 1 and started[0].is_closed
    assert api.solve(SUM, preset=VOTE).answer is not None


SCRIPT = r"""
import asyncio

from tts.engine.scripted import Line, ScriptedEngine
from tts import api
from tts.engine import running


class Engine(ScriptedEngine):
    async def aclose(self):
        await asyncio.to_thread(print, "closed")


async def make_engine(spec):
    return Engine(lambda ask: Line(r"\boxed{7}"))


running.make_engine = make_engine
print(api.solve("What is 3 + 4?").answer.text)
"""


def test_a_script_that_solves_ends_quietly() -> None:
    command, root = [sys.executable, "-c", SCRIPT], Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["7"], "")


def test_what_cannot_be_read_disturbs_nothing(started: list[Engine]) -> None:
    api.solve(SUM, preset=VOTE)
    with pytest.raises(InputError, match="unknown verifier"):
        api.solve(SUM, preset=load_preset("best_of_n", ["verifier=nobody"]))
    api.solve(SUM, preset=VOTE, seed=1)
    assert len(started) == 1


def test_a_search_may_run_on_a_further_engine(started: list[Engine]) -> None:
    search = delegate(body=load_preset("best_first").pipeline, engine="bundled:draft")
    api.solve(SUM, preset=VOTE)
    result = api.solve(SUM, preset=replace(VOTE, pipeline=search))
    assert result.answer is not None and result.answer.text == "7", result.reason
    (draft,) = (engine for engine in started if engine.spec.model == "bundled:draft")
    assert draft.requests


def test_a_plain_name_is_nobody(started: list[Engine]) -> None:
    with pytest.raises(CapabilityError, match="needs the engine 'draft'; this run has no other"):
        api.solve(SUM, preset=load_preset("cascade", ["draft=draft"]))
