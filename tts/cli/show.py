"""Show a run's problems, or one of them: its attempts, its votes, its search tree."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.console import flags, output
from tts.errors import InputError
from tts.search import view as drawing
from tts.storage.sealed_lines import cannot_write
from tts.types.card import shorten
from tts.viewer.problem import problem_view
from tts.viewer.prompts import prompts_of, said
from tts.viewer.runs import OpenRun, named_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_SHORT = 400  # characters of an attempt without --full
_CELL = 60  # characters in a table
_DRAWINGS = {".svg": drawing.to_svg, ".mmd": drawing.to_mermaid, ".txt": drawing.to_text}


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    problem: Annotated[
        str | None, typer.Argument(help="A problem's id; without one, all are listed.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=0, help="Which repeat of it.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="Print attempts and prompts whole.")] = False,
    draw: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            help="Write the search tree to FILE.svg, .mmd (Mermaid) or .txt.",
            metavar="FILE",
        ),
    ] = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Show what became of the problems of a run, or everything about one of them.

    Example: tts show runs/countdown-rebase-04daed3f7a countdown-test-1-003
    """
    opened = named_run(run)
    if problem is None:
        if draw is not None:
            raise InputError("--draw writes the search tree of one problem: name it after the run")
        rows = list(opened.problems())
        if as_json:
            output.print_json({"problems": rows})
        else:
            output.print_table(_list(rows))
        return
    view = problem_view(opened, problem, repeat)
    if draw is not None:
        _draw(view, draw)
    if as_json:
        output.print_json({**view, "prompts": prompts_of(opened, problem, repeat)})
        return
    _print(opened, view, full=full)


def _list(rows: list[dict[str, Any]]) -> Table:
    numbers = ("agree", "right", "tokens")
    table = output.new_table("problem", "status", "answer", "reference", *numbers, right=numbers)
    for row in rows:
        finished = row["state"] == "finished"
        tokens = row["cost"]["tokens"] if finished else None
        output.add_row(
            table,
            f"{row['id']} ({row['repeat']})" if row["repeat"] else row["id"],
            _status(row.get("correct"), row.get("answer")) if finished else row["state"],
            shorten(row.get("answer") or "", _CELL),
            shorten(row["reference"] or "", _CELL),
            f"{row['agree']}/{row['answered']}" if finished else "",
            f"{row['right']}/{row['samples']}" if finished else "",
            "" if tokens is None else f"{tokens:,.0f}",
        )
    return table


def _print(run: OpenRun, view: Mapping[str, Any], *, full: bool) -> None:
    record = view["record"]
    output.print_text(view["statement"] or "\n".join(m["content"] for m in view["messages"]))
    output.print_text()
    if record is not None:
        status = _status(record["correct"], record["answer"])
        output.print_text(f"{status}: {record['answer']}")
    if view["reference"] is not None:
        output.print_text(f"reference: {view['reference']}")
    output.print_lines(view["why"])
    if len(view["answers"]) > 1:
        output.print_text()
        output.print_table(_votes(view))
    for number, attempt in enumerate(view["attempts"]):
        output.print_text()
        output.print_text(_title(number, attempt))
        output.print_text(_shorten("\n".join(_words(attempt, full=full)), full=full))
    for search in view["searches"]:
        output.print_text(f"\nsearch of {search['node']}, node state score [tokens] step")
        output.print_text(drawing.to_text(search))
    for prompt in prompts_of(run, view["problem"], view["repeat"]) if full else ():
        output.print_text(f"\nprompt of {prompt['node']}")
        output.print_text(said(prompt))
        for one in prompt["written"]:
            if "text" in one:  # the others are attempts, which stand above
                output.print_text(f"\nwritten to it, seed {one['seed']}")
                output.print_text(one["text"])


def _votes(view: Mapping[str, Any]) -> Table:
    weighs = view["is_weighted"]
    numbers = ("samples", *(("weight",) if weighs else ()))
    table = output.new_table("answer", *numbers, "", right=numbers)
    for one in view["answers"]:
        weight = "-" if one["weight"] is None else f"{one['weight']:.4g}"
        marks = _status(one["correct"], one["answer"]) + (", chosen" if one["chosen"] else "")
        cells = (str(one["count"]), *((weight,) if weighs else ()))
        output.add_row(table, shorten(one["answer"] or "-", _CELL), *cells, marks)
    return table


def _title(number: int, attempt: Mapping[str, Any]) -> str:
    scores = [f"{name} {value:.3f}" for name, value in attempt.get("scores", {}).items()]
    known = attempt.get("tokens")
    parts = [
        f"#{number} {attempt['id']}",
        _status(attempt.get("correct"), attempt.get("answer")) if "correct" in attempt else "",
        "" if known is None else f"{known:,} tokens",
        *scores,
    ]
    return "  ".join(part for part in parts if part)


def _words(attempt: Mapping[str, Any], *, full: bool) -> Iterator[str]:
    if attempt["thought"]:
        yield f"[thought, {len(attempt['thought']):,} characters]"
        if full:
            yield attempt["thought"].strip()
    steps = attempt.get("steps", ())
    if any(step["text"] for step in steps):
        for step in steps:
            score = "-" if step["score"] is None else f"{step['score']:.2f}"
            yield f"{score:>5}  {step['text']}"
    else:
        yield attempt["text"]


def _draw(view: Mapping[str, Any], path: Path) -> None:
    if not view["searches"]:
        raise InputError(f"{view['problem']}: no tree search was finished here, so none is drawn")
    if path.suffix not in _DRAWINGS:
        raise InputError(f"{path}: a tree's file ends in one of {', '.join(_DRAWINGS)}")
    try:
        path.write_text(_DRAWINGS[path.suffix](view["searches"][0]) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error
    output.print_note(f"wrote {path}")


def _status(correct: bool | None, answer: str | None) -> str:
    if answer is None:
        return "no answer"
    return "ungraded" if correct is None else "right" if correct else "wrong"


def _shorten(text: str, *, full: bool) -> str:
    if full or len(text) <= _SHORT:
        return text
    return f"{text[:_SHORT]}… ({len(text) - _SHORT:,} more characters: --full)"
