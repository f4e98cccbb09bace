"""What tests read off a result, and off the engine that gave it."""

from typing import Any

from tts.engine.scripted import ScriptedEngine, render
from tts.types import Event, Result, Trajectory


def events(result: Result, kind: str) -> list[Event]:
    """Return the trace's events of a kind."""
    return [event for event in result.trace if event.kind == kind]


def noted(result: Result, kind: str) -> list[dict[str, Any]]:
    """Return what the trace's events of a kind say, without node and time."""
    return [dict(event.fields) for event in events(result, kind)]


def answers(result: Result) -> list[str | None]:
    return [trajectory.answer for trajectory in result.trajectories]


def by_id(result: Result) -> dict[str, Trajectory]:
    return {trajectory.id: trajectory for trajectory in result.trajectories}


def prompts_of(engine: ScriptedEngine) -> list[str]:
    """Return every prompt that was sent, as text."""
    return [render(request.prompt) for request in engine.requests]
