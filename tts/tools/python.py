"""A Python program, run where it can do no harm: in the sandbox of the verifier `execution`."""

import asyncio
import threading
from collections.abc import Sequence

from pydantic import Field

from tts.protocols import Context
from tts.tools.base import Found, Tool, ToolConfig, only
from tts.verifiers._sandbox.pool import Pool
from tts.verifiers._sandbox.sandbox import Limits, Program, Sandbox

_SHOWN_ERROR = 500
_OPENING = threading.Lock()


class Config(ToolConfig):
    """Parameters of the tool `python`; the limits are for each call."""

    parallel: int = Field(4, ge=1, description="calls of one graph that run at once; more wait")
    run_seconds: float = Field(
        5.0, gt=0, le=600, description="most wall time of the program, and most CPU time"
    )
    memory_mb: int = Field(512, ge=64, description="most memory of all its processes, in MiB")
    unsafe: bool = Field(False, description="run without isolation where there is none")


class Python(Tool):
    """Runs a program and returns what it prints. Nothing is kept from one call to the next."""

    signature = "python(program: str) -> str"
    about = "runs a program without network, files or input, and returns what it prints"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._limits = Limits(
            seconds=config.run_seconds,
            cpu_seconds=config.run_seconds,
            memory_bytes=config.memory_mb * 2**20,
        )
        self._unsafe = config.unsafe
        self._pool: Pool | None = None

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        """Return what the program prints.

        Raises:
            VerifierError: Nothing here isolates untrusted code.
            ValueError: It fails, or prints nothing.
        """
        program = only(arguments, "a program")
        pool = await asyncio.to_thread(self._open)
        (outcome,) = await pool.run(program, [Program()])
        if outcome.exit_code != 0:
            last = outcome.stderr.strip()[-_SHOWN_ERROR:]
            raise ValueError(f"the program failed: {outcome.error or 'it ended'}\n{last}".strip())
        if not outcome.output.strip():
            raise ValueError("the program printed nothing; print the result")
        return Found(outcome.output.strip())

    def _open(self) -> Pool:
        """Find out what isolates, which takes a moment; once, however many ask at first."""
        with _OPENING:
            if self._pool is None:
                sandbox = Sandbox(self._limits, unsafe=self._unsafe)
                self._pool = Pool(sandbox, self.config.parallel)
            return self._pool


def build(config: Config) -> Python:
    """Return the tool; whether code can be isolated here is found out at the first call."""
    return Python(config)
