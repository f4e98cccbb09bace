"""Solutions, wrong attempts, checks and thoughts about a countdown puzzle of the training split."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tts.bundled.attempts import Line, Slip, Span, compare, judge, slip, think, throw
from tts.tasks import countdown
from tts.tasks.chain import MAX_VALUE
from tts.tasks.countdown import Move, Puzzle
from tts.tasks.splits import find_boxed, split_steps
from tts.types import Problem


@dataclass(frozen=True, slots=True)
class CountdownTask:
    """A puzzle of the training split."""

    problem: Problem
    puzzle: Puzzle

    @property
    def solution(self) -> str:
        """Right steps and the boxed answer."""
        steps = countdown.format_steps(self.puzzle.numbers, self.puzzle.moves)
        return "\n\n".join([*steps, self.boxed])

    @property
    def boxed(self) -> str:
        """The boxed answer alone."""
        return countdown.format_answer(self.puzzle.moves)

    def wrong(self, rng: random.Random) -> str:
        """Miss the target, or claim it with a false equation."""
        moves = self._miss(rng)
        steps = countdown.format_steps(self.puzzle.numbers, moves)
        shown = [m.text for m in moves]
        if rng.random() < 0.6:
            claimed = self.puzzle.target if rng.random() < 0.8 else slip(rng, moves[-1].result)
            shown[-1] = shown[-1].split(" = ")[0] + f" = {claimed}"
            steps[-1] = shown[-1]
        answer = ", ".join(text.replace(" ", "") for text in shown)
        return "\n\n".join([*steps, f"\\boxed{{{answer}}}"])

    def slips(self, rng: random.Random) -> list[Slip]:
        """Make random moves on the numbers, going on from each result as it is written."""
        left, steps = list(self.puzzle.numbers), []
        while len(left) > 1:
            first, second = rng.sample(left, 2)
            moves = countdown.moves_between(first, second)
            legal = [m for m in moves if 0 < m.result <= MAX_VALUE]
            if not legal:  # two zeros, say
                break
            move = rng.choice(legal)
            thrown = throw(rng, move.text)
            left.remove(first)
            left.remove(second)
            left.append(thrown.result)
            steps.append(replace(thrown, text=countdown.format_step(thrown.text, left)))
        return steps

    def check(self, attempt: str) -> str:
        """Work each equation out again, beside the attempt's, then compare with the target."""
        return judge(self._lines(split_steps(attempt)))

    def _lines(self, steps: Sequence[str]) -> Iterator[Line]:
        left: list[int] = list(self.puzzle.numbers)
        for step in [*steps, ""]:
            if len(left) == 1:
                yield self._end(left[0], step)
                return
            own = countdown.work_out(step, left)
            if own is None:
                yield compare("not possible", step, False)
                return
            text, after = own
            yield compare(text, step, countdown.numbers_after(step, left) is not None)
            left = after

    def choose(self, attempts: Sequence[str]) -> str:
        """Compare the attempts' ends with the target, then write the first that meets it."""
        lines = []
        for index, attempt in enumerate(attempts, start=1):
            right = countdown.label_steps(self.problem, split_steps(attempt))[-1]
            lines.append(f"{index}: {self._last_value(attempt)}, {'right' if right else 'wrong'}")
            if right:
                return think("\n".join(lines), attempt)
        return think("\n".join(lines), self.solution)

    def _end(self, value: int, step: str) -> Line:
        target = self.puzzle.target
        boxed = find_boxed(step)
        right = boxed is not None and countdown.check_answer(self.problem, boxed)
        return Line(f"{value} is {'' if value == target else 'not '}{target}", right)

    def _last_value(self, attempt: str) -> str:
        """Return the last equation before the box, with its true value."""
        last = [s for s in split_steps(attempt) if find_boxed(s) is None][-1:]
        found = [int(n) for n in re.findall(r"\d+", "".join(last))]
        own = countdown.work_out(last[0], found[:2]) if len(found) > 1 else None
        return own[0] if own else "not possible"

    def thought(self, rng: random.Random) -> tuple[str, list[Span]]:
        """Try, see that the end is not the target, start again, until it is."""
        text, spans = "", []
        target = self.puzzle.target
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            moves = self._miss(rng)
            tried = "\n\n".join(countdown.format_steps(self.puzzle.numbers, moves))
            spans.append((len(text), len(text) + len(tried)))
            text += f"{tried}\n\nWait, {moves[-1].result} is not {target}. Start again.\n\n"
        steps = countdown.format_steps(self.puzzle.numbers, self.puzzle.moves)
        return text + "\n\n".join([*steps, f"{target} is right.\n\n"]), spans

    def _miss(self, rng: random.Random) -> Sequence[Move]:
        while True:
            moves = countdown.draw_moves(rng, self.puzzle.numbers)
            if moves[-1].result != self.puzzle.target:
                return moves


def countdown_task(rng: random.Random) -> CountdownTask:
    """Draw a training puzzle of three to five numbers."""
    level = rng.choice((1, 2, 3))
    puzzle = countdown.draw_training_puzzle(rng, countdown.NUMBERS_BY_LEVEL[level])
    return CountdownTask(countdown.to_problem(puzzle, "train", level), puzzle)
