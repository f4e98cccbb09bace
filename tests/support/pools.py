"""A small pool on disk, for tests of the replay engine and of what runs on it."""

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest


def row(problem_id: str, answers: Sequence[str | None], gold: str = "4", **more: Any) -> Any:
    """One problem; its samples have 10 tokens and the score 0.1 for the first, 0.2, ..."""
    samples = [
        {"answer": a, "correct": a == gold, "tokens": 10, "score": (i + 1) / 10}
        for i, a in enumerate(answers)
    ]
    return {"problem_id": problem_id, "model": "m", "gold": gold, "samples": samples, **more}


def write_pool(folder: Path, *rows: Mapping[str, Any], name: str = "pool.jsonl.gz") -> Path:
    path = folder / name
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(r) + "\n" for r in rows)
    return path


def recorded_pool(name: str) -> Path:
    """Return a pool of real models' samples, where the data lie beside the checkout."""
    folder = os.environ.get("TTS_DATA_DIR")
    path = Path(folder or ".") / "pools" / f"{name}.jsonl.gz"
    if folder is None or not path.is_file():
        pytest.skip("set TTS_DATA_DIR to the folder that holds pools/ of recorded samples")
    return path
