"""One problem of a run, put together from its files: what a page or a terminal shows of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tts.answers.thoughts import solution_of
from tts.errors import InputError
from tts.evals.records import Record, Sample
from tts.evals.sample_texts import leaf_of, path_to
from tts.prompts import solution_part
from tts.tasks.splits import split_solution
from tts.viewer.outcome import answers_of, chosen_by, is_weighted, why
from tts.viewer.runs import OpenRun

Lines = Sequence[Mapping[str, Any]]
# What a replay of a search shows, moment by moment.
_GROWTH = ("decide", "step", "prune", "fail", "recall")


def problem_view(run: OpenRun, problem: str, repeat: int) -> dict[str, Any]:
    """Return all that is known of a problem, as JSON values.

    Args:
        run: The run.
        problem: Its id.
        repeat: From 0.

    Returns:
        `statement` and what else was stated; `record`, what came of it (None while it runs);
        `attempts`, with texts, scores and steps; `answers`, classes of equal ones, `why` this one
        was chosen, in sentences, and `chosen_by` which score, where nobody voted; `votes` and
        `stops`; `calls`, each request with its times; `searches`, each with its tree and how it
        grew; `nodes`, what each node of the pipeline read and sent; `events`, the whole trace.

    Raises:
        InputError: The run has no such problem or repeat.
    """
    stated = run.statements.get(problem)
    if stated is None:
        raise InputError(f"{run.name} has no problem {problem!r}")
    repeats = int(run.stored.config["repeats"])
    if repeat >= repeats:
        raise InputError(f"{run.name} solves {problem!r} {repeats} times, from repeat 0")
    run.log.refresh()
    run.trace.refresh()
    log, events = run.log.lines((problem, repeat)), run.trace.lines((problem, repeat))
    record = run.record_of(problem, repeat)
    searches = _searches(events)
    attempts = list(_attempts(record, log, events, searches))
    votes = _of_kind(events, "vote")
    by = None if votes else chosen_by(events)
    answers = answers_of(attempts, votes, None if record is None else record.answer, by)
    view = {
        "run": run.name,
        **stated,
        "repeat": repeat,
        "repeats": repeats,
        "record": None if record is None else _record(record),
        "attempts": attempts,
        "answers": answers,
        "is_weighted": is_weighted(answers),
        "chosen_by": by,
        "votes": votes,
        "stops": _of_kind(events, "stopped"),
        "calls": _timed(_calls(log), events),
        "searches": searches,
        "pipeline": run.pipeline,
        "nodes": _nodes(events),
        "events": [_bare(event) for event in events],
    }
    return {**view, "why": why(view)}


def _record(record: Record) -> dict[str, Any]:
    values = asdict(record)
    del values["samples"]
    return values


def _bare(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without its problem, and without the tree, which stands elsewhere."""
    return {k: v for k, v in line.items() if k not in ("problem", "repeat", "tree")}


def _of_kind(events: Lines, *kinds: str) -> list[dict[str, Any]]:
    return [_bare(event) for event in events if event["kind"] in kinds]


def _attempts(
    record: Record | None, log: Lines, events: Lines, searches: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the samples of a finished problem, or what has arrived of one that runs."""
    texts: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for line in log:
        if line["kind"] == "completion":
            texts.setdefault((line["node"], line["seed"]), []).append(line)
    if record is None:
        for (node, seed), lines in texts.items():
            yield {"id": f"{node}:{seed}", "node": node, "seed": seed, **_text(lines)}
        return
    judged = _of_kind(events, "score")
    paths = _paths(events, searches)
    wholes = {event["id"]: event["text"] for event in events if event["kind"] == "attempt"}
    for sample in record.samples:
        lines = texts.get((sample.node, sample.seed), [])
        said = {**asdict(sample), **_text(lines, wholes.get(sample.id))}
        if (path := paths.get(leaf_of(sample))) is not None:
            said |= {"steps": path, "text": "", "thought": ""}
        else:
            said |= _step_scores(said, sample, judged)
        yield said


def _text(lines: Lines, whole: str | None = None) -> dict[str, Any]:
    """Return what an attempt says, its thought apart.

    Args:
        lines: Its completions.
        whole: Its text, where the trace holds it; else that of the completions in a row.
    """
    text = "".join(line["text"] for line in lines) if whole is None else whole
    solution = solution_of(text)
    start = text.rfind(solution) if solution else len(text)
    thought = text[:start]
    last: Mapping[str, Any] = lines[-1] if lines else {}
    return {
        "thought": thought if thought.strip() else "",
        "text": text[start:] if thought.strip() else text,
        "finish_reason": last.get("finish_reason"),
        "key": last.get("key", ""),
        "at": last.get("at"),
    }


def _step_scores(
    said: Mapping[str, Any], sample: Sample, judged: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return an attempt's steps with a verifier's score of each; nothing where none scored them."""
    for event in judged:
        if event.get("id") != sample.id or not event.get("steps"):
            continue
        text, scores = str(said["text"]), event["steps"]
        steps = split_solution(solution_part(text))
        if len(steps) != len(scores):  # it read the attempt in parts of its own
            steps = [""] * len(scores)
        pairs = zip(steps, scores, strict=True)
        return {"steps": [{"text": t, "score": s} for t, s in pairs], "scorer": event["verifier"]}
    return {}


def _paths(events: Lines, searches: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the steps from the root of each tree node, by the id of the trajectory it ends."""
    trees = {search["node"]: search["nodes"] for search in searches}
    return {
        event["id"]: [
            {"text": node["text"], "score": node["reward"], "tree_node": node["index"]}
            for node in path_to(trees[event["node"]], int(event["tree_node"]))
        ]
        for event in events
        if event["kind"] == "step" and event["node"] in trees
    }


def _searches(events: Lines) -> list[dict[str, Any]]:
    """Return each search: its figures, its whole tree, and the moments in which it grew."""
    return [
        {
            "node": event["node"],
            "figures": {
                k: v for k, v in _bare(event).items() if k not in ("node", "kind", "seconds")
            },
            "block_size": event["tree"]["block_size"],
            "nodes": event["tree"]["nodes"],
            "moments": [e for e in _of_kind(events, *_GROWTH) if e["node"] == event["node"]],
        }
        for event in events
        if event["kind"] == "search"
    ]


def _calls(log: Lines) -> list[dict[str, Any]]:
    """Return every completion that was asked for: when it was, and when and how it ended."""
    calls: dict[tuple[str, int], dict[str, Any]] = {}
    for line in log:
        kind, key = line["kind"], line["key"]
        if kind == "sent":
            for seed in line["seeds"]:
                calls[key, seed] = {
                    "node": line["node"],
                    "seed": seed,
                    "key": key,
                    "asked": line.get("at"),
                    "base": line["seed"],
                    "state": "running",
                }
        elif kind in ("completion", "failed"):
            call = calls.setdefault(
                (key, line["seed"]), {"node": line["node"], "seed": line["seed"], "key": key}
            )
            usage = line["usage"]
            call |= {
                "state": "failed" if kind == "failed" else "finished",
                "came": line.get("at"),
                "tokens": usage["generated_tokens"],
                "cached": usage["cached_tokens"],
                "prompt_tokens": usage["prompt_tokens"],
                "finish_reason": line.get("finish_reason", line.get("error")),
            }
        elif kind in ("aborted", "lost"):
            for call in calls.values():
                if (call["key"], call.get("base"), call["state"]) == (key, line["seed"], "running"):
                    call |= {"state": kind, "came": line.get("at")}
    return list(calls.values())


def _timed(calls: list[dict[str, Any]], events: Lines) -> list[dict[str, Any]]:
    """Return calls with what the trace knows of their times: all there is of reused samples."""
    known = {(call["node"], call["seed"]): call for call in calls}
    asked: dict[str, float] = {}  # of each node, its latest request
    for event in events:
        if event["kind"] == "request":
            asked[event["node"]] = event["seconds"]
        elif event["kind"] == "completion":
            call = known.get((event["node"], event["seed"]))
            if call is None:
                call = {k: event[k] for k in ("node", "seed", "tokens", "cached", "finish_reason")}
                calls.append(call | {"key": "", "state": "reused"})
                call = calls[-1]
            if call.get("came") is None:
                call |= {"asked": asked.get(event["node"], 0.0), "came": event["seconds"]}
    return calls


def _nodes(events: Lines) -> dict[str, dict[str, Any]]:
    """Return what became of each node: when it began and ended, and what it read and sent."""
    nodes: dict[str, dict[str, Any]] = {}
    for event in events:
        node = nodes.setdefault(event["node"], {})
        if event["kind"] == "start":
            node["start"] = event["seconds"]
        elif event["kind"] in ("end", "cancelled", "error"):
            node |= {"end": event["seconds"], "how": event["kind"]}
            node |= {key: event[key] for key in ("read", "sent", "message") if key in event}
    nodes.pop("", None)
    return nodes
