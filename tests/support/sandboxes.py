"""A sandbox for tests, which are skipped where there is none."""

from functools import cache

import pytest

from tts.errors import VerifierError
from tts.verifiers._sandbox.sandbox import Limits, Sandbox


def open_sandbox(limits: Limits) -> Sandbox:
    """Return a sandbox of these limits, always the same one."""
    try:
        return _open(limits)
    except VerifierError as error:
        pytest.skip(str(error))


@cache
def _open(limits: Limits) -> Sandbox:
    return Sandbox(limits)
