"""Run folders as they are typed."""

from collections.abc import Sequence
from pathlib import Path

from tts.console import output
from tts.errors import InputError
from tts.evals.run_store import StoredRun, load_run


def load_runs(paths: Sequence[Path]) -> list[StoredRun]:
    """Read runs; files among them, such as the pictures that lie beside runs, are passed over.

    Raises:
        InputError: There is no folder among them.
        StoreError: A folder holds no run, or cannot be read.
    """
    for path in paths:
        if path.is_file():
            output.print_note(f"passed over {path}, which is no run folder")
    folders = [path for path in paths if not path.is_file()]
    if not folders:
        raise InputError("none of these is a run folder, such as tts eval makes in runs/")
    return [load_run(folder) for folder in folders]
