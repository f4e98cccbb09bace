"""Asks a model of the run for text, and keeps what it said, so that a search goes on alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tts.operators.delegate import delegate
from tts.operators.sample import sample
from tts.presets.load import Preset
from tts.runtime.job import Job
from tts.runtime.log_file import LogFile
from tts.session.runtime import Runtime, choose
from tts.types import Problem, Sampling

ENGINE = "optimiser"  # of the run, if it has one of this name
_LOG = "optimiser.jsonl"
_SAMPLING = Sampling(temperature=0.7)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the engine `optimiser` of a run, or else the run's own.

    Attributes:
        runtime: The run.
        preset: How it is asked.
        log: File of what it said.
        seed: The same seed and text give the same reply.
    """

    runtime: Runtime
    preset: Preset
    log: Path
    seed: int

    @classmethod
    def of(cls, runtime: Runtime, folder: Path, seed: int) -> Self:
        """Return one that keeps its log in a folder."""
        own = sample()
        has_engine = ENGINE in runtime.parts.engines
        asked = delegate(body=own, engine=ENGINE) if has_engine else own
        return cls(runtime, choose(asked, (), _SAMPLING), folder / _LOG, seed)

    async def ask(self, name: str, text: str) -> tuple[str, int]:
        """Return what it says, empty where it could not, and the tokens that this took.

        What it said in an earlier session is not asked again, and counts as it did.

        Raises:
            EngineError: The engine died.
            StoreError: The log cannot be written.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        problem = Problem(id=name, statement=text, answer_type="free")
        job = Job.of(self.preset, problem, seed=self.seed)
        with LogFile(self.log, seed=self.seed) as log:
            async with self.runtime.serving([self.preset.pipeline]) as core:
                result = await core.run(job, log=log)
        said = result.samples[0].text if result.samples else ""
        return said, result.usage.generated_tokens or 0
