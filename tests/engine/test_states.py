"""Hidden states: by hand on a runner of the test's own, and on the real engine."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tts.bundled import resolve
from tts.engine.states import StateReader
from tts.engine.vllm import VLLMEngine
from tts.errors import CapabilityError
from tts.types import Completion, GenerationRequest, Message, Prompt, Sampling, States, StateSpec

VOCABULARY = ["a", "b", ".\n\n", "<end>"]
END_OF_STEP = 2
PROMPT = Prompt(
    messages=(Message("user", "Start with 3. Add 4. Then multiply by 5. What is the result?"),)
)


class Runner:
    """Does what vLLM's does: its model's states are the tokens' positions, plus 100 by layer.

    It is its own model, too, and notes after how many layers its last step ended.
    """

    aux_hidden_state_layers: tuple[int, ...] = ()
    end_layer = 3
    input_batch: Any = None
    depth = 0

    def get_model(self) -> "Runner":
        return self

    def modules(self) -> "list[Runner]":
        return [self]

    def set_aux_hidden_state_layers(self, layers: tuple[int, ...]) -> None:
        self.aux_hidden_state_layers = layers

    def _model_forward(self, positions: torch.Tensor) -> Any:
        self.depth = self.end_layer
        base = positions[:, None].float().repeat(1, 2)
        taps = [layer for layer in self.aux_hidden_state_layers if layer <= self.end_layer]
        inner = [base + 100 * layer for layer in taps]
        last = base + 100 * self.end_layer
        return (last, inner) if inner else last

    def step(self, *rows: tuple[str, int, int, Sequence[int]]) -> None:
        """Run a step; a row is a request, its prompt's length, its computed tokens, new ones."""
        sizes = [len(tokens) for *_, tokens in rows]
        begins = np.concatenate([[0], np.cumsum(sizes)])
        self.query_start_loc = SimpleNamespace(np=begins)
        tokens = [t for *_, ts in rows for t in ts]
        self.input_ids = SimpleNamespace(np=np.array(tokens), gpu=torch.tensor(tokens))
        self.input_batch = SimpleNamespace(
            num_reqs=len(rows),
            req_ids=[name for name, *_ in rows],
            num_computed_tokens_cpu=np.array([computed for _, _, computed, _ in rows]),
            num_prompt_tokens=np.array([prompt for _, prompt, _, _ in rows]),
        )
        positions = [computed + i for _, _, computed, ts in rows for i in range(len(ts))]
        self._model_forward(positions=torch.tensor(positions))


def reader_of(runner: Runner, *, is_eager: bool = True, is_ahead: bool = False) -> StateReader:
    config = SimpleNamespace(enforce_eager=is_eager, get_total_num_hidden_layers=lambda: 3)
    worker = SimpleNamespace(worker=SimpleNamespace(model_runner=runner))
    engine = SimpleNamespace(
        model_executor=SimpleNamespace(driver_worker=worker),
        vllm_config=SimpleNamespace(
            model_config=config, scheduler_config=SimpleNamespace(async_scheduling=is_ahead)
        ),
    )
    return StateReader(engine, VOCABULARY)


def first(states: States | None) -> list[list[float]]:
    """Return the first number of each state, layers by place."""
    assert states is not None
    found: list[list[float]] = states.values[:, :, 0].tolist()
    return found


@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_prompt_in_parts_steps_and_the_end(is_ahead: bool) -> None:
    runner = Runner()
    reader = reader_of(runner, is_ahead=is_ahead)
    reader.follow("x", StateSpec((1, 3), "steps"))
    assert runner.aux_hidden_state_layers == (1,)
    runner.step(("x", 4, 0, [0, 0]))  # half of the prompt draws nothing
    runner.step(("x", 4, 2, [0, 0]))  # position 3 draws token 0, which ends a step
    runner.step(("x", 4, 4, [END_OF_STEP]))
    runner.step(("x", 4, 5, [1]))  # token 1 is no end; position 5 draws token 2
    states = reader.take("x", [END_OF_STEP, 1, 3])
    assert states is not None and states.places == (0, 2)
    assert first(states) == [[103, 303], [105, 305]]
    assert not any(runner.aux_hidden_state_layers)  # nobody asks any more
    assert reader.take("x", []) is None
    assert reader.num_bytes == 0


def test_rows_move_and_a_preempted_sequence_is_read_again() -> None:
    runner = Runner()
    reader = reader_of(runner)
    for name in "xy":
        reader.follow(name, StateSpec((2,), "steps"))
    runner.step(("x", 1, 0, [0]), ("y", 2, 0, [0, 0]))
    runner.step(("y", 2, 2, [1]), ("x", 1, 1, [1]))
    # x has drawn END_OF_STEP by position 1, and is preempted before that token is read.
    runner.step(("y", 2, 3, [1]))
    runner.step(("x", 1, 0, [0, 1]))  # read again, in two parts
    runner.step(("x", 1, 2, [END_OF_STEP]), ("z", 1, 0, [0]))
    states = reader.take("x", [1, END_OF_STEP, 1])
    assert states is not None and states.places == (1, 2)
    assert first(states) == [[201], [202]]
    assert first(reader.take("y", [1, 1, 3])) == [[203]]


def test_every_token_and_an_engine_that_is_one_step_ahead() -> None:
    runner = Runner()
    reader = reader_of(runner)
    reader.follow("x", StateSpec((3,), "tokens"))
    for computed in range(4):
        runner.step(("x", 1, computed, [0]))
    # Two tokens count; vLLM had begun two steps more, which is more than can be known.
    assert reader.take("x", [0, 0]) is not None
    reader.follow("x", StateSpec((3,), "end"))
    for computed in range(3):
        runner.step(("x", 1, computed, [0]))
    assert first(reader.take("x", [0, 0])) == [[301]]
    reader.follow("x", StateSpec((3,), "end"))
    for computed in range(4):
        runner.step(("x", 1, computed, [0]))
    assert reader.take("x", [0]) is None  # lost, and said so


def test_a_text_that_is_read() -> None:
    runner = Runner()
    reader = reader_of(runner)
    spec = StateSpec((2,), "steps")
    places = reader.places([END_OF_STEP, 0, 1, 3], spec)
    assert places == (0, 3)
    reader.read("x", spec, places, start=2)
    runner.step(("x", 5, 0, [0, 0, END_OF_STEP]))
    runner.step(("x", 5, 3, [0, 1]))
    assert first(reader.take("x", [9])) == [[201], [204]]
    assert reader.places([], spec) == ()
    assert reader.places([0, 0], StateSpec((2,), "end")) == (1,)


def test_a_step_that_only_reads_stops_at_the_highest_layer_asked_for() -> None:
    runner = Runner()
    reader = reader_of(runner)
    for name, layers in (("x", (1,)), ("y", (2, 1)), ("z", (3,))):
        reader.read(name, StateSpec(layers, "end"), (0,), start=2)
    runner.step(("x", 2, 0, [0]))
    assert runner.depth == 1
    runner.step(("x", 2, 1, [0]), ("y", 2, 0, [0, 0]))
    assert runner.depth == 2
    assert first(reader.take("x", [])) == [[101]]
    assert first(reader.take("y", [])) == [[201, 101]]
    reader.follow("drawn", StateSpec((2,), "end"))
    runner.step(("z", 2, 0, [0, 0]))
    runner.step(("drawn", 1, 0, [0]))
    assert runner.depth == 3
    assert first(reader.take("z", [])) == [[301]]
    assert first(reader.take("drawn", [3])) == [[200]]
    assert runner.end_layer == 3
    assert reader.salt(StateSpec((1, 2))) == reader.salt(StateSpec((2,)))
    assert reader.salt(StateSpec((1,))) != reader.salt(StateSpec((2,)))
    assert reader.salt(StateSpec((1, 3))) is None  # whole, as what is generated


def test_layers_that_cannot_be_had() -> None:
    with pytest.raises(CapabilityError, match="no layer 4: the model has 3"):
        reader_of(Runner()).check(StateSpec((1, 4)))
    with pytest.raises(CapabilityError, match="enforce_eager=true"):
        reader_of(Runner(), is_eager=False).check(StateSpec((1,)))
    reader_of(Runner(), is_eager=False).check(StateSpec((3,)))
    for layers in ((), (0,), (1, 1)):
        with pytest.raises(ValueError, match="layers"):
            StateSpec(layers)


def test_huge_states_stay_finite() -> None:
    runner = Runner()
    reader = reader_of(runner)
    reader.follow("x", StateSpec((3,), "end"))
    runner.step(("x", 70_000, 69_999, [0]))  # half precision ends at 65,504
    assert first(reader.take("x", [3])) == [[65_504]]


def draw(engine: VLLMEngine, spec: StateSpec | None, n: int = 4) -> list[Completion]:
    async def work() -> list[Completion]:
        request = GenerationRequest(PROMPT, Sampling(max_tokens=60), n=n, seed=5, states=spec)
        return [completion async for completion in engine.generate(request)]

    return sorted(asyncio.run(work()), key=lambda completion: completion.index)


def test_the_real_engine_agrees_with_transformers(vllm_engine: VLLMEngine) -> None:
    model = AutoModelForCausalLM.from_pretrained(resolve("reasoner"), dtype=torch.float32)
    plain = draw(vllm_engine, None)
    read = draw(vllm_engine, StateSpec((2, 5), "steps"))
    assert [one.text for one in plain] == [one.text for one in read]
    assert all(one.states is None for one in plain)
    for completion in read:
        assert completion.states is not None
        assert len(completion.states.places) == completion.text.count("\n\n") + 1
        start = len(completion.prompt_token_ids) - 1
        ids = completion.prompt_token_ids + completion.token_ids
        with torch.inference_mode():
            layers = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        rows = [start + place for place in completion.states.places]
        for column, layer in enumerate((2, 5)):
            expected = layers[layer][0][rows].numpy()
            found = completion.states.values[:, column].astype(np.float32)
            assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("at", ["end", "steps", "tokens"])
def test_a_text_that_is_read_has_the_states_that_came_with_it(
    vllm_engine: VLLMEngine, at: Any
) -> None:
    spec = StateSpec((3,), at)
    (drawn,) = draw(vllm_engine, spec, n=1)
    assert drawn.states is not None
    prompt = Prompt(token_ids=drawn.prompt_token_ids)
    asyncio.run(vllm_engine.forget())
    read = asyncio.run(vllm_engine.read_states(prompt, drawn.token_ids, spec))
    assert read.states.places == drawn.states.places
    assert read.usage.prompt_tokens == len(drawn.prompt_token_ids) + len(drawn.token_ids) - 1
    size = np.abs(drawn.states.values).max()
    assert np.abs(read.states.values - drawn.states.values).max() <= 2e-3 * size


def test_texts_of_one_prompt_read_it_once_and_are_read_again_where_a_place_was_shared(
    vllm_engine: VLLMEngine,
) -> None:
    prompt = Prompt(text=" ".join(["Add 4 to 3."] * 40))
    spec = StateSpec((3,), "tokens")

    async def work() -> tuple[list[Any], Completion]:
        before = await vllm_engine.encode(prompt)
        texts = [await vllm_engine.tokenize(text) for text in ("1 + 2 = 3", "4 + 5 = 9")]
        known = Prompt(token_ids=before)
        await vllm_engine.forget()
        read = [await vllm_engine.read_states(known, ids, spec) for ids in (*texts, texts[0] * 20)]
        read.append(await vllm_engine.read_states(known, texts[0] * 20, spec))
        request = GenerationRequest(known, Sampling(max_tokens=8, temperature=0), states=spec)
        (drawn,) = [one async for one in vllm_engine.generate(request)]
        return read, drawn

    (one, other, long, again), drawn = asyncio.run(work())
    assert one.usage.cached_tokens == 0
    assert 0 < other.usage.cached_tokens < other.usage.prompt_tokens
    assert again.usage.prompt_tokens == 2 * long.usage.prompt_tokens  # its places were cached
    size = np.abs(long.states.values).max()
    for a, b in ((long, again), (one, long)):
        rows = len(a.states.places)
        assert np.abs(a.states.values - b.states.values[:rows]).max() <= 2e-3 * size
    assert not drawn.usage.cached_tokens  # what was read to layer 3 is no prefix of what is drawn


def test_what_is_aborted_leaves_nothing_behind(vllm_engine: VLLMEngine) -> None:
    async def work() -> int:
        request = GenerationRequest(PROMPT, Sampling(max_tokens=500), n=8, states=StateSpec((2,)))
        stream = vllm_engine.generate(request)
        await anext(stream)
        await stream.aclose()
        return await vllm_engine.state_bytes()

    assert asyncio.run(work()) == 0


def test_a_layer_that_does_not_exist_fails_the_request_alone(vllm_engine: VLLMEngine) -> None:
    with pytest.raises(CapabilityError, match="no layer 9"):
        draw(vllm_engine, StateSpec((9,)))
    assert draw(vllm_engine, StateSpec((5,)))


@pytest.mark.engine
@pytest.mark.slow
def test_the_pooling_runner_reads_the_same_states(vllm_engine: VLLMEngine) -> None:
    spec = StateSpec((2, 5), "steps")
    (drawn,) = draw(vllm_engine, spec, n=1)
    assert drawn.states is not None

    async def read() -> States:
        prompt = Prompt(token_ids=drawn.prompt_token_ids)
        options: Any = {"runner": "pooling", "dtype": "float32", "max_model_len": 2048}
        async with VLLMEngine("bundled:reasoner", cpu_threads=1, **options) as engine:
            return (await engine.read_states(prompt, drawn.token_ids, spec)).states

    states = asyncio.run(read())
    assert states.places == drawn.states.places
    size = np.abs(drawn.states.values).max()
    assert np.abs(states.values - drawn.states.values).max() <= 2e-3 * size


@pytest.mark.parametrize(
    "options",
    [{"tensor_parallel_size": 2}, {"speculative_config": {"method": "ngram"}}],
)
def test_only_an_engine_that_steps_in_this_process_gives_states(options: dict[str, Any]) -> None:
    assert not VLLMEngine("some/model", **options).capabilities.states
    assert VLLMEngine("some/model").capabilities.states
    assert VLLMEngine("some/model", runner="pooling").capabilities.states


def test_states_join_and_travel_as_json() -> None:
    one = States((2,), (0, 3), np.arange(4, dtype=np.float16).tobytes())
    two = States((2,), (1,), np.array([9, 8], np.float16).tobytes())
    joined = States.join([one, two], [5, 2])
    assert joined is not None and joined.places == (0, 3, 6)
    assert joined.values[:, 0].tolist() == [[0, 1], [2, 3], [9, 8]]
    assert States.join([one, None], [5, 2]) is None
    assert States.from_mapping(joined.to_mapping()) == joined
    with pytest.raises(ValueError, match="states"):
        States.from_mapping({**joined.to_mapping(), "data": "?"})
