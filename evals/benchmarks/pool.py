"""Problems of a pool of recorded samples, for `--model replay:FILE[#model]`."""

from tts.answers.groups import canonical_form
from tts.engine.pools import RecordedProblem, load_pool
from tts.errors import ProblemError
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.types import Answer, Grade, Problem


class PoolBenchmark(ListBenchmark):
    """Grades an answer as the pool's samples were graded, and by comparison where none gave it."""

    def __init__(self, address: str, *, unsafe: bool = False) -> None:
        """Remember the pool; it is read when its problems are."""
        super().__init__(self._read, unsafe=unsafe)
        self._address = address
        self._labels: dict[str, dict[str, bool]] = {}

    def grade(self, problem: Problem, answer: Answer) -> Grade:
        """Look the answer up among the recorded ones, else grade it as other benchmarks do."""
        labels = self._labels.get(problem.id, {})
        for key in (answer.text, canonical_form(answer.text, problem.answer_type)):
            if key in labels:
                return Grade(labels[key], "as recorded")
        return super().grade(problem, answer)

    def _read(self, split: str) -> list[Problem]:
        if split != "test":
            raise ProblemError(f"no split '{split}'; there is only test")
        recorded = load_pool(self._address).problems
        self._labels = {r.problem.id: _labels(r) for r in recorded}
        return [r.problem for r in recorded]


class Config(DataConfig):
    """Where the pool is: its file, "#model" after it if it holds several."""


def build(config: Config) -> PoolBenchmark:
    """Return the benchmark.

    Raises:
        ProblemError: No pool is given.
    """
    if config.data is None:
        raise ProblemError("the benchmark pool needs --model replay:FILE[#model]")
    if config.map:
        raise ProblemError("a pool has columns of its own, which --map cannot rename")
    return PoolBenchmark(str(config.data), unsafe=config.unsafe_execution)


def _labels(recorded: RecordedProblem) -> dict[str, bool]:
    """Return the recorded correctness of each answer; of each text before its canonical form."""
    labels: dict[str, bool] = {}
    graded = [(s.answer, s.correct) for s in recorded.samples if s.answer is not None]
    for answer, correct in graded:
        if correct is not None:
            labels.setdefault(answer.strip(), correct)
    for answer, correct in graded:
        if correct is not None:
            labels.setdefault(canonical_form(answer, recorded.problem.answer_type), correct)
    return labels
