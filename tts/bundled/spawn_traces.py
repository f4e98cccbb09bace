r"""Training texts of a model that spawns searches: countdown, in APR's format.

The searches are those of Pan et al. 2025, arXiv:2504.15466, after their code: best first, the
moves of a state pruned to the `beam` whose numbers lie nearest to factors of the target. At the top
level a state with more than one move left to explore is, nine times in ten, handed to children, one
for each; children hand nothing on. One text is a parent up to its call, or after it, or a child.
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, count, pairwise

from tts.bundled.corpus import TURN_END, Example
from tts.tasks import countdown

# Numbers are whole up to 999, digits of names and larger numbers alone; words of the format whole.
ALONE = r"\n|(?<!\d)\d{1,3}(?!\d)|\d|[-+*/=|#,:\[\]'<>]"
VOCABULARY = 680
NUMBERS = {3: 3, 4: 1}  # relative weights of puzzles by how many numbers they have
_SPAWNS = 0.9
_MOST_BEAM, _MOST_CHILD_BEAM = 6, 10
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
        parts: Of the parent: up to each call, and the last one up to the end; each begins anew with
            all that stands before it, results in place of earlier calls.
        seen: Of each part, how much of it was there before it was written.
        children: Of each call, the traces that it started.
        goal: Where it ended; None without a solution.
    """

    parts: list[str] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    children: list[list["Trace"]] = field(default_factory=list)
    goal: Node | None = None


def examples(seed: int, *, start: int = 0) -> Iterator[Example]:
    """Yield the stream of a seed from puzzle `start` on: all texts of each."""
    for index in count(start):
        rng = random.Random(f"spawn/{seed}/{index}")
        (size,) = rng.choices(list(NUMBERS), list(NUMBERS.values()))
        puzzle = countdown.draw_training_puzzle(rng, size)
        found = search(rng, puzzle.numbers, puzzle.target)
        for trace in (found, *(child for call in found.children for child in call)):
            for part, seen in zip(trace.parts, trace.seen, strict=True):
                yield Example(part[:seen], part[seen:] + TURN_END)


def search(rng: random.Random, numbers: Sequence[int], target: int) -> Trace:
    """Search with beams drawn as the authors draw them."""
    beam = rng.randint(1, _MOST_BEAM)
    child_beam = rng.randint(beam, _MOST_CHILD_BEAM)
    return _Search(rng, target, beam, child_beam).run(Node("0", list(numbers)), spawns=True)


@dataclass(frozen=True, slots=True)
class _Search:
    rng: random.Random
    target: int
    beam: int
    child_beam: int

    def run(self, root: Node, *, spawns: bool) -> Trace:
        """Search from a state; `spawns` says whether it may call children."""
        trace = Trace()
        text = f"Moving to Node #{root.name}\n"
        seen = len(text + root.state(self.target)) - 1  # the prompt lacks the line's end
        heap, order = [(0, 0, root)], count(1)
        while heap:
            taken = [heapq.heappop(heap) for _ in range(min(self.beam, len(heap)))]
            for place, (*_, node) in enumerate(taken):
                if place:
                    text += f"Moving to Node #{node.name}\n"
                added, left = self._expand(node)
                text += added
                if left and left[-1].numbers == [self.target]:
                    trace.goal = left[-1]
                    text += f"{self.target},{self.target} {_GOAL}{self._way(root, left[-1])}"
                    return _ended(trace, text, seen)
                left.sort(key=self._distance)
                if spawns and len(left) > 1 and self.rng.random() < _SPAWNS:
                    text, seen = self._call(trace, text, seen, left)
                    if trace.goal is not None:
                        text += f"{self.target},{self.target} {_GOAL}{self._way(root, trace.goal)}"
                        return _ended(trace, text, seen)
                else:
                    for one in left:
                        heapq.heappush(heap, (self._distance(one), next(order), one))
            if heap:
                text += f"Moving to Node #{heap[0][2].name}\n"
        return _ended(trace, text + "No solution found.\n", seen)

    def _expand(self, node: Node) -> tuple[str, list[Node]]:
        """Return what is written of a state, and its states to explore; a goal ends both."""
        target, text = self.target, node.state(self.target)
        moves = [one for pair in combinations(node.numbers, 2) for one in _moves(node, *pair)]
        moves.sort(key=self._distance)
        kept = moves[: self.beam]
        self.rng.shuffle(kept)
        left: list[Node] = []
        for one in kept:
            text += one.explored()
            if one.numbers == [target]:
                return text, [*left, one]
            if len(one.numbers) == 1:
                text += f"{one.numbers[0]},{target} unequal: No Solution\n"
                continue
            one.name = f"{node.name},{len(left)}"
            left.append(one)
            text += one.generated(target)
        return text, left

    def _call(self, trace: Trace, text: str, seen: int, nodes: Sequence[Node]) -> tuple[str, int]:
        """Run children; returns the parent's text with their results, all of which is given."""
        child = _Search(self.rng, self.target, self.child_beam, self.child_beam)
        made = [child.run(Node(n.name, n.numbers, n.operations), spawns=False) for n in nodes]
        lines = [
            f"<Start Sub Search {place} at level 1> Moving to Node #{node.name}\n"
            for place, node in enumerate(nodes)
        ]
        call = f"{text}<Calling Sub Searches>\n{''.join(lines)}<End Calling Sub Searches>\n"
        trace.parts.append(call)
        trace.seen.append(seen)
        trace.children.append(made)
        text += "<Sub Searches>\n"
        for place, (node, one) in enumerate(zip(nodes, made, strict=True)):
            where = f"in Sub Search {place} at level 1 at Node #{node.name}>\n"
            text += f"<No Solution {where}" if one.goal is None else f"<Goal Reached {where}"
            if one.goal is not None:
                text += self._way(node, one.goal)
        found = next(
            ((n, one.goal) for n, one in zip(nodes, made, strict=True) if one.goal is not None),
            None,
        )
        if found is not None:
            trace.goal = _below(*found)
        text += "<End Sub Searches>\n"
        return text, len(text)

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
        equation = move.text.replace(" ", "")
        yield Node("", [*rest, move.result], [*node.operations, equation], node)


def _below(parent: Node, goal: Node) -> Node:
    """Return a child's goal as one of its parent: the child's own root is the parent's state."""
    if goal.above is None or goal.above.name == parent.name:
        return Node(goal.name, goal.numbers, goal.operations, parent)
    return Node(goal.name, goal.numbers, goal.operations, _below(parent, goal.above))


def _ended(trace: Trace, text: str, seen: int) -> Trace:
    trace.parts.append(text)
    trace.seen.append(seen)
    return trace
