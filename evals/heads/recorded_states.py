"""The hidden states of recorded solutions: those that came with them, and those that are read.

What is read goes into a file at once, so that a command that was killed goes on.
"""

import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from tts.evals.heads.solutions import Solution
from tts.evals.progress import Progress, Show
from tts.heads.read import read_all, text_ids
from tts.protocols import Engine
from tts.storage.json_bytes import encode_json
from tts.storage.sealed_lines import LineWriter, encode_line, read_lines
from tts.types import Prompt, ReadStates, States, StateSpec

Text = tuple[Prompt, tuple[int, ...]]


async def recorded_states(
    engine: Engine, solutions: Sequence[Solution], spec: StateSpec, *, folder: Path, show: Show
) -> list[States | None]:
    """Return the states of solutions; None of one that is too long to be read.

    Args:
        engine: Reads those whose states did not come with them, from itself.
        solutions: Those of one problem side by side.
        spec: Which states.
        folder: What is read is kept there, in a file for each engine.
        show: Told how far the reading has come.

    Raises:
        StoreError: The file cannot be read or written.
    """
    found = [
        _came(one.states, spec) if one.fingerprint == engine.info.fingerprint else None
        for one in solutions
    ]
    missing = [place for place, states in enumerate(found) if states is None]
    if not missing:
        return found
    texts = [
        await text_ids(
            engine,
            solutions[place].problem,
            solutions[place].text,
            prompt_token_ids=solutions[place].prompt_token_ids,
            token_ids=solutions[place].token_ids,
        )
        for place in missing
    ]
    read = await _read(engine, texts, spec, folder=folder, show=show)
    for place, states in zip(missing, read, strict=True):
        found[place] = states
    return found


async def _read(
    engine: Engine, texts: Sequence[Text], spec: StateSpec, *, folder: Path, show: Show
) -> list[States | None]:
    """Return the states of texts, those that the file has and those that are read now."""
    names = [_digest((prompt, token_ids, spec)) for prompt, token_ids in texts]
    path = folder / f"states-{_digest(engine.info.fingerprint)}.jsonl"
    known, writer = _open(path, set(names))
    left = [place for place, name in enumerate(names) if name not in known]
    started, tokens, finished = time.monotonic(), 0, 0

    def keep(index: int, read: ReadStates | None) -> None:
        nonlocal tokens, finished
        finished += 1
        if read is not None:
            name = names[left[index]]
            known[name] = read.states
            writer.append(encode_line({"text": name, "states": read.states.to_mapping()}))
            tokens += (read.usage.prompt_tokens or 0) - (read.usage.cached_tokens or 0)
        seconds = time.monotonic() - started
        to_do = len(left) - finished
        show(
            Progress(
                done=len(texts) - to_do,
                total=len(texts),
                accuracy=None,
                interval=None,
                tokens=tokens,
                seconds=seconds,
                kv_usage=engine.kv_usage(),
                seconds_left=seconds / finished * to_do,
            )
        )

    try:
        await read_all(engine, [texts[place] for place in left], spec, done=keep)
    finally:
        writer.close()
    return [known.get(name) for name in names]


def _open(path: Path, names: set[str]) -> tuple[dict[str, States], LineWriter]:
    """Return what a file has of some texts, and what goes on writing it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, States] = {}
    end = 0
    for line in read_lines(path):
        end = line.end
        if line.values["text"] in names:
            known[line.values["text"]] = States.from_mapping(line.values["states"])
    return known, LineWriter(path, end)


def _digest(value: object) -> str:
    return blake2b(encode_json([value]), digest_size=8).hexdigest()


def _came(states: States | None, spec: StateSpec) -> States | None:
    """Return states that came with a solution, those of these layers; None if there are none."""
    if states is None or not set(spec.layers) <= set(states.layers):
        return None
    return states.of_layers(spec.layers)
