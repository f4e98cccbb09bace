"""Logs of generations that end early, as a kill leaves them."""

from pathlib import Path

_COMPLETION = b'"kind":"completion"'


def num_completions(path: Path) -> int:
    """Return how many completions a log holds."""
    return path.read_bytes().count(_COMPLETION)


def cut_log(path: Path, kept: int) -> None:
    """Drop what follows the first `kept` completions of a log; requests stay up to there."""
    lines, found = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        found += _COMPLETION in line
        if found > kept:
            break
        lines.append(line)
    path.write_bytes(b"".join(lines))
