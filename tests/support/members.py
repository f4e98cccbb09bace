"""Engines that a test makes a fleet of."""

from tts.engine.scripted import ScriptedEngine


class Member(ScriptedEngine):
    """A scripted engine that a test may send away."""

    is_away = False
