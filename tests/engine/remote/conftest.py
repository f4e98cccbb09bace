"""Servers that recover at once."""

import pytest

from tts.engine.remote import http, pace


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_FIRST_PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(http, "_GRACE_SECONDS", 0.05)
