"""List the parts that presets can name, ours and those of plug-ins, and what each can be told."""

from typing import Annotated, Any

import typer

from tts.cli._parameters import paragraphs, parameters
from tts.console import flags, output
from tts.errors import InputError, MissingExtraError
from tts.parts import catalog, plugins
from tts.parts.build import parameters_of

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help=(
        "List and show operators, strategies, verifiers, benchmarks and memories.\n\n"
        "Example: tts plugins show strategy beam_search"
    ),
)
KindArgument = Annotated[
    str, typer.Argument(help=f"One of {', '.join(catalog.KINDS)}.", metavar="KIND")
]
NameArgument = Annotated[str, typer.Argument(help="Its name, as presets write it.", metavar="NAME")]


@app.callback(invoke_without_command=True)
def _main(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_parts(as_json=False)


@app.command("list")
def list_parts(as_json: flags.JsonFlag = False) -> None:
    """List every part: its kind, its name, where it comes from, and what it is.

    Other packages offer parts by entry points; `tts --plugin MODULE` loads one that does not.

    Example: tts plugins list
    """
    rows = [_row(kind, name, source) for kind, name, source in _sources()]
    if as_json:
        output.print_json(rows)
        return
    table = output.new_table("kind", "name", "from", "what it is")
    for row in rows:
        output.add_row(table, row["kind"], row["name"], row["from"], row["summary"])
    output.print_table(table)


@app.command()
def show(kind: KindArgument, name: NameArgument, as_json: flags.JsonFlag = False) -> None:
    """Print what a part is, its source, and every parameter with default and meaning.

    Example: tts plugins show verifier confidence
    """
    if kind not in catalog.KINDS:
        raise InputError(catalog.unknown("kind", kind, catalog.KINDS))
    model = parameters_of(kind, name)
    module = catalog.load(kind, name)
    if as_json:
        source = catalog.sources(kind).get(name, module.__name__)
        fields = {
            p.name: {"default": p.default, "required": p.is_required, "meaning": p.meaning}
            for p in parameters(model)
        }
        output.print_json({**_row(kind, name, source), "parameters": fields})
        return
    for line in paragraphs(module.__doc__ or ""):
        output.print_text(line)
    table = output.new_table("parameter", "default", "meaning")
    for parameter in parameters(model):
        output.add_row(table, parameter.name, parameter.default_text, parameter.meaning)
    output.print_table(table)


def _sources() -> list[tuple[str, str, str]]:
    """Return kind, name and origin of every part; a strategy's policy is not listed again."""
    kinds = [kind for kind in catalog.KINDS if kind != "policy"]
    found = [(kind, *entry) for kind in kinds for entry in sorted(catalog.sources(kind).items())]
    return found + [("plug-in", module, "--plugin") for module in plugins.loaded()]


def _row(kind: str, name: str, source: str) -> dict[str, Any]:
    row = {"kind": kind, "name": name, "from": source}
    try:
        module = plugins.named(kind, name) if kind == "plug-in" else catalog.load(kind, name)
    except MissingExtraError as error:
        return {**row, "summary": str(error), "arxiv": []}
    return {**row, "summary": catalog.summary(module), "arxiv": catalog.papers(module)}
