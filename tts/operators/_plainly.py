"""Asking a model that thinks for a plain reply."""

from dataclasses import replace

from tts.prompts import NO_THINKING
from tts.protocols import Engine
from tts.types import Prompt


def without_thinking(prompt: Prompt, engine: Engine) -> Prompt:
    """Return a prompt whose reply begins at once, also on a model that would think first."""
    return replace(prompt, thought=NO_THINKING) if engine.capabilities.thoughts else prompt
