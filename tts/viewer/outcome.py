"""Why a problem got the answer that it has: what the attempts said, and how they were counted."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Values = Mapping[str, Any]


def answers_of(
    attempts: Sequence[Values],
    votes: Sequence[Values],
    chosen: str | None,
    by: str | None = None,
) -> list[dict[str, Any]]:
    """Return the classes of equal answers, the heaviest and most frequent first.

    Args:
        attempts: Of the problem.
        votes: Its counts of votes, in order; the last one says what each answer weighed.
        chosen: The answer that the problem got.
        by: The score by which it was chosen, where nobody voted.

    Returns:
        Of each class its `key` (an attempt's class; None without an answer), an `answer`, the
        number of its `first` attempt, the `count` of its attempts, whether it is `correct`, its
        `weight` (None where nobody voted), its best `score` (None where none chose) and whether it
        was `chosen`.
    """
    found: dict[Any, dict[str, Any]] = {}
    forms: dict[Any, set[str]] = {}
    for number, attempt in enumerate(attempts):
        answer = attempt.get("answer")
        key = None if answer is None else attempt.get("answer_class", answer)
        one = found.setdefault(
            key,
            {
                "key": key,
                "answer": answer,
                "first": number,
                "count": 0,
                "correct": attempt.get("correct"),
                "weight": None,
                "score": None,
            },
        )
        one["count"] += 1
        score = None if by is None else attempt.get("scores", {}).get(by)
        if score is not None:
            one["score"] = score if one["score"] is None else max(score, one["score"])
        if answer is not None:
            forms.setdefault(key, set()).add(answer)
    weights = votes[-1]["votes"] if votes else {}
    for answer, weight in weights.items():
        for key, written in forms.items():
            if answer in written:
                found[key]["weight"] = (found[key]["weight"] or 0.0) + weight
                break
    for key, one in found.items():
        one["chosen"] = chosen is not None and chosen in forms.get(key, ())
    return sorted(found.values(), key=_place)


def chosen_by(events: Sequence[Values]) -> str | None:
    """Return the score by which one of the attempts was chosen at last; None where none was."""
    return next((event.get("by") for event in reversed(events) if event["kind"] == "select"), None)


def _place(one: Values) -> tuple[float, float, int]:
    score = one["score"]
    return -(one["weight"] or -1.0), math.inf if score is None else -score, -one["count"]


def is_weighted(answers: Sequence[Values]) -> bool:
    """Return whether votes had other weights than one each.

    A weight that is whole counts votes: fewer than there are attempts, where a vote ended early.
    """
    return any(one["weight"] is not None and one["weight"] % 1 > 1e-9 for one in answers)


def why(view: Values) -> list[str]:
    """Return, in sentences, why a finished problem got its answer; see `problem_view`."""
    return list(_why(view))


def _why(view: Values) -> Iterator[str]:
    record, answers, total = view["record"], view["answers"], len(view["attempts"])
    if record is None:
        yield "Not finished: what has arrived so far is below."
        return
    if record["answer"] is None:
        yield f"No answer: {record['error'] or 'no sample gave one'}."
    elif total > 1:
        yield _chosen(view)
    if total > 1:
        yield from _others(record, answers, total)
    for stop in view["stops"]:
        leader = f", with {stop['leader']} ahead" if "leader" in stop else ""
        after = f" after {stop['read']} samples" if "read" in stop else ""
        yield f"{stop['node']} stopped by its rule “{stop['rule']}”{after}{leader}."
    aborted = record["facts"]["aborted"]
    if aborted:
        yield f"{aborted} {'call was' if aborted == 1 else 'calls were'} ended before done."
    if record["error"] and record["answer"] is not None:
        yield f"{record['error']}."


def _chosen(view: Values) -> str:
    record, answers, total = view["record"], view["answers"], len(view["attempts"])
    chosen = next((one for one in answers if one["chosen"]), None)
    if chosen is not None and view["votes"]:
        return f"Chosen with {_much(chosen, answers, total)}{_tie(chosen, answers)}."
    by = view["chosen_by"]
    score = next(
        (a["scores"].get(by) for a in view["attempts"] if a.get("answer") == record["answer"]), None
    )
    said = "" if by is None else f" by {by}" + ("" if score is None else f", {score:.3f}")
    return f"Chosen from {total} samples{said}."


def _tie(chosen: Values, answers: Sequence[Values]) -> str:
    """Return how many other answers had as much as the chosen one, and what decided; or nothing."""
    size = "weight" if is_weighted(answers) else "count"
    rivals = [one for one in answers if one["answer"] is not None and one is not chosen]
    equal = sum(one[size] == chosen[size] for one in rivals)
    if not equal:
        return ""
    others = "another answer" if equal == 1 else f"{equal} other answers"
    return f", a tie with {others}: of equals, the one whose first sample was drawn first"


def _others(record: Values, answers: Sequence[Values], total: int) -> Iterator[str]:
    right = [one for one in answers if one["correct"]]
    count = sum(one["count"] for one in right)
    if record["correct"]:
        yield f"{count} of {total} samples were right."
    elif record["correct"] is False and not right:
        yield "No sample was right, so no vote or choice could have been."
    elif record["correct"] is False:
        best = _much(right[0], answers, total)
        if len(right) == 1:
            yield f"A right answer had {best}: it was there and lost."
        else:
            yield (
                f"{count} samples were right, shared among {len(right)} answers that count as "
                f"different; the strongest had {best}."
            )


def _much(one: Values, answers: Sequence[Values], total: int) -> str:
    weighs = one["weight"] is not None and is_weighted(answers)
    weight = f", weight {one['weight']:.3g}" if weighs else ""
    score = "" if one["score"] is None else f", score {one['score']:.3g}"
    return f"{one['count']} of {total} samples{weight}{score}"
