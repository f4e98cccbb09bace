"""Progress in words: what a bar shows, and how often a pipe gets a line."""

import pytest

from tts.console.progress import ProgressView, describe
from tts.evals.progress import Progress


def at(seconds: float, tokens: int, done: int = 0) -> Progress:
    return Progress(done, 4, None, None, tokens, seconds, kv_usage=0.25, seconds_left=None)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (0, "0 tok, 0 tok/s KV 25%"),
        (9_999, "9,999 tok, 1,000 tok/s KV 25%"),
        (12_345, "12.3k tok, 1,234 tok/s KV 25%"),
        (999_960, "1.0M tok, 99,996 tok/s KV 25%"),
    ],
)
def test_tokens_are_told_before_anything_is_finished(tokens: int, words: str) -> None:
    assert describe(at(10.0, tokens), is_short=True) == words


def test_on_a_terminal_what_is_finished_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for title, shown in (("chain single", [at(1.0, 50), at(2.0, 100, done=4)]), ("chain vote", [])):
        with ProgressView(title) as view:
            for progress in shown:
                view.show(progress)
    printed = capsys.readouterr().err
    last = printed.rpartition("chain single")[2]
    assert "4/4" in last and "100 tok, 50 tok/s" in last
    assert "\x1b[2K" not in last.partition("\n")[0]  # nothing wipes it away
    assert "\x1b[2K" in last.rpartition("chain vote")[2]  # what showed nothing leaves nothing


def test_a_pipe_gets_its_first_line_soon_and_then_ever_fewer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("tts.console.progress.time.monotonic", lambda: now)
    with ProgressView("gsm8k single") as view:
        now = 1.0
        view.show(at(now, 0))  # nothing to tell yet
        for second in range(1, 301):
            now = float(second)
            view.show(at(now, 100 * second))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "gsm8k single: 0/4 done, 100 tok, 100 tok/s, KV 25%"
    # After 1, 3, 7, 15, 31, 63 seconds and then each minute; the last one at the end.
    shown = [line.split(", ")[1] for line in lines]
    assert shown[:6] == ["100 tok", "300 tok", "700 tok", "1,500 tok", "3,100 tok", "6,300 tok"]
    assert shown[6:] == ["12.3k tok", "18.3k tok", "24.3k tok", "30.0k tok"]
