r"""Texts of two models that search countdown: one spawns searches, its twin writes them in turn.

The searches are those of Pan et al. 2025, arXiv:2504.15466, after their code: best first, the
moves of a state pruned to the `BEAM` whose numbers lie nearest to factors of the target. At the top
level a state with more than one move left to explore is, nine times in ten, handed to children, one
for each; children hand nothing on. One search is written twice:

- "spawn", in APR's format: one text is a parent up to its call, or after it, or a child;
- "serial", as the authors' SoS+: one text, in which children stand where they were called, one
  after the other up to the first that reaches the goal.

Departures, so that models of less than a million weights learn something: small puzzles, one beam
for parents and children, which the authors draw anew for each search, no moves to 0 or beyond
`MAX_RESULT`, and of moves that leave the same numbers only one.
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, count, pairwise
from typing import Literal

from tts.bundled.corpus import TURN_END, Example
from tts.tasks import countdown

Writing = Literal["spawn", "serial"]

# Phrases of the formats are single tokens, and so are numbers. A prompt never ends within one.
PHRASES = (
    *("Moving to Node #", "\nMoving to Node #", "\nCurrent State: ", ":[", ", ", ": "),
    *("], Operations: [", "], Operations: ['", "', '", "']"),
    *("\nExploring Operation: ", ", Resulting Numbers: [", "]\nGenerated Node #", "] Operation: "),
    *(" equal: Goal Reached", " unequal: No Solution", "\nNo solution found."),
    *("\n<Calling Sub Searches>", "\n<Start Sub Search ", " at level 1> Moving to Node #"),
    *("\n<End Calling Sub Searches>", "\n<Sub Searches>", "\n<No Solution in Sub Search "),
    *("\n<Goal Reached in Sub Search ", " at level 1 at Node #", "\n<End Sub Searches>\n"),
    *("\nStart Sub Search at level 1: Moving to Node #", "\nExit Sub Search at level 1"),
    *("No solution found.", "\nNo solution found in sub search"),
)
ALONE = r"\n|\d+|[-+*/=,:\[\]'>]"
VOCABULARY = 480
NUMBERS = {3: 2, 4: 1}  # relative weights of puzzles by how many numbers they have
EASY = 1000  # puzzles at the beginning of a stream, of three numbers all
MAX_RESULT = 100
BEAM = 4
_SPAWNS = 0.9
_EXIT = "Exit Sub Search at level 1\n"
_GOAL = "equal: Goal Reached\n"


@dataclass(slots=True)
class Node:
    """A state of a search.

    Attributes:
        name: Places among siblings from the root on.
        numbers: Left.
        operations: That led here.
        above: The state before; None for where the search began.
    """

    name: str
    numbers: list[int]
    operations: list[str] = field(default_factory=list)
    above: "Node | None" = None

    def state(self, target: int) -> str:
        """Return the line that opens it."""
        return f"Current State: {target}:{self.numbers}, Operations: {self.operations}\n"

    def explored(self) -> str:
        """Return the line with its last operation."""
        return f"Exploring Operation: {self.operations[-1]}, Resulting Numbers: {self.numbers}\n"

    def generated(self, target: int) -> str:
        """Return the line that gives it its name."""
        state = f"{target}:{self.numbers} Operation: {self.operations[-1]}"
        return f"Generated Node #{self.name}: {state}\n"


@dataclass(slots=True)
class Trace:
    """A search as texts.

    Attributes:
        text: Of the parent, results in place of calls.
        serial: The same search as one text, children where they were called.
        body: The text without the way to its goal.
        parts: Of the parent: up to each call, and the last one up to the end; each begins anew with
            all that stands before it.
        seen: Of each part, how much of it was there before it was written.
        children: Of each call, the traces that it started.
        goal: Where it ended; None without a solution.
    """

    text: str = ""
    serial: str = ""
    body: str = ""
    parts: list[str] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    children: list[list["Trace"]] = field(default_factory=list)
    goal: Node | None = None

    def write(self, text: str) -> None:
        """Add to both writings."""
        self.text += text
        self.serial += text

    def end_part(self, seen: int, text: str = "") -> None:
        """End a part of the parent with a text of its own."""
        self.parts.append(self.text + text)
        self.seen.append(seen)


def examples(writing: Writing, seed: int) -> Iterator[Example]:
    """Yield the stream of a seed: all texts of puzzle after puzzle.

    Both writings are of the same searches in the same order.
    """
    for index in count():
        found = draw_search(seed, index)
        if writing == "serial":
            seen = found.seen[0]
            yield Example(found.serial[:seen], found.serial[seen:] + TURN_END)
            continue
        for trace in (found, *(child for call in found.children for child in call)):
            for part, seen in zip(trace.parts, trace.seen, strict=True):
                yield Example(part[:seen], part[seen:] + TURN_END)


def tokenizer_texts() -> Iterator[str]:
    """Yield what the tokenizer of both models is trained on; its seed is fixed."""
    for index in count():
        found = draw_search(0, index)
        yield found.serial
        yield found.text


def draw_search(seed: int, index: int) -> Trace:
    """Return the search of a puzzle of the training split."""
    rng = random.Random(f"spawn/{seed}/{index}")
    (size,) = rng.choices(list(NUMBERS), list(NUMBERS.values())) if index >= EASY else (3,)
    puzzle = countdown.draw_training_puzzle(rng, size, max_number=countdown.SMALL_NUMBER)
    return search(rng, puzzle.numbers, puzzle.target)


def search(rng: random.Random, numbers: Sequence[int], target: int) -> Trace:
    """Search from the numbers of a puzzle on; chance orders moves and says when to spawn."""
    return _Search(rng, target).run(Node("0", list(numbers)), spawns=True)


@dataclass(frozen=True, slots=True)
class _Search:
    rng: random.Random
    target: int

    def run(self, root: Node, *, spawns: bool) -> Trace:
        """Search from a state; `spawns` says whether it may call children."""
        trace = Trace()
        trace.write(f"Moving to Node #{root.name}\n")
        # The prompt lacks the end of the state's line.
        seen = len(trace.text + root.state(self.target)) - 1
        heap, order = [(0, 0, root)], count(1)
        while heap:
            taken = [heapq.heappop(heap) for _ in range(min(BEAM, len(heap)))]
            for place, (*_, node) in enumerate(taken):
                if place:
                    trace.write(f"Moving to Node #{node.name}\n")
                left = self._expand(trace, node)
                if left and left[-1].numbers == [self.target]:
                    trace.goal = left[-1]
                    self._tell(trace, root)
                elif spawns and len(left) > 1 and self.rng.random() < _SPAWNS:
                    seen = self._call(trace, seen, root, left)
                else:
                    for one in left:
                        heapq.heappush(heap, (self._distance(one), next(order), one))
                if trace.goal is not None:
                    trace.end_part(seen)
                    return trace
            if heap:
                trace.write(f"Moving to Node #{heap[0][2].name}\n")
        trace.write("No solution found.\n")
        trace.body = trace.text
        trace.end_part(seen)
        return trace

    def _expand(self, trace: Trace, node: Node) -> list[Node]:
        """Write a state and its moves; returns what is to be explored. A goal ends both."""
        target = self.target
        trace.write(node.state(target))
        pairs = combinations(node.numbers, 2)
        # Of moves to the same numbers the last.
        moves = {tuple(sorted(m.numbers)): m for pair in pairs for m in _moves(node, *pair)}
        kept = sorted(moves.values(), key=self._distance)[:BEAM]
        self.rng.shuffle(kept)
        left: list[Node] = []
        for one in kept:
            trace.write(one.explored())
            if one.numbers == [target]:
                return [one]
            if len(one.numbers) == 1:
                trace.write(f"{one.numbers[0]},{target} unequal: No Solution\n")
                continue
            one.name = f"{node.name},{len(left)}"
            left.append(one)
            trace.write(one.generated(target))
        left.sort(key=self._distance)
        return left

    def _call(self, trace: Trace, seen: int, root: Node, nodes: Sequence[Node]) -> int:
        """Run children and write what they found; returns how much of the text is given then."""
        made = [self.run(Node(n.name, n.numbers, n.operations), spawns=False) for n in nodes]
        lines = [
            f"<Start Sub Search {place} at level 1> Moving to Node #{node.name}\n"
            for place, node in enumerate(nodes)
        ]
        trace.end_part(
            seen, f"<Calling Sub Searches>\n{''.join(lines)}<End Calling Sub Searches>\n"
        )
        trace.children.append(made)
        trace.text += "<Sub Searches>\n"
        for place, (node, one) in enumerate(zip(nodes, made, strict=True)):
            where = f"in Sub Search {place} at level 1 at Node #{node.name}>\n"
            if one.goal is None:
                trace.text += f"<No Solution {where}"
            else:
                trace.text += f"<Goal Reached {where}{self._way(node, one.goal)}"
        trace.text += "<End Sub Searches>\n"
        seen = len(trace.text)
        for node, one in zip(nodes, made, strict=True):
            trace.serial += f"Start Sub Search at level 1: {one.body}"
            if one.goal is not None:
                trace.goal = _below(node, one.goal)
                self._tell(trace, root)
                trace.serial += _EXIT
                break
            trace.serial += f"{_EXIT}No solution found in sub search\n"
        return seen

    def _tell(self, trace: Trace, root: Node) -> None:
        """Write that the goal is reached, and the way to it."""
        assert trace.goal is not None, "there is a way to tell"
        trace.body = trace.text
        trace.write(f"{self.target},{self.target} {_GOAL}{self._way(root, trace.goal)}")

    def _way(self, root: Node, goal: Node) -> str:
        """Return the way from a state to the goal, told once more."""
        nodes = [goal]
        while nodes[-1].name != root.name:
            above = nodes[-1].above
            assert above is not None, "the goal lies below the root"
            nodes.append(above)
        nodes.reverse()
        text = f"Moving to Node #{root.name}\n"
        for node, after in pairwise(nodes):
            text += node.state(self.target) + after.explored()
            if after is not goal:
                text += f"{after.generated(self.target)}Moving to Node #{after.name}\n"
        return f"{text}{self.target},{self.target} {_GOAL}"

    def _distance(self, node: Node) -> int:
        """Return how far the numbers lie from factors of the target, summed up."""
        factors = [i for i in range(2, self.target + 1) if self.target % i == 0]
        return sum(min(abs(number - factor) for factor in factors) for number in node.numbers)


def _moves(node: Node, first: int, second: int) -> Iterator[Node]:
    rest = list(node.numbers)
    rest.remove(first)
    rest.remove(second)
    for move in countdown.moves_between(first, second):
        if 0 < move.result <= MAX_RESULT:
            equation = move.text.replace(" ", "")
            yield Node("", [*rest, move.result], [*node.operations, equation], node)


def _below(parent: Node, goal: Node) -> Node:
    """Return a child's goal as one of its parent: the child's own root is the parent's state."""
    if goal.above is None or goal.above.name == parent.name:
        return Node(goal.name, goal.numbers, goal.operations, parent)
    return Node(goal.name, goal.numbers, goal.operations, _below(parent, goal.above))
