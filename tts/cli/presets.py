"""List, show, check and draw presets."""

from typing import Annotated

import typer

from tts.cli._preset_text import preset_lines
from tts.console import flags, output
from tts.errors import MissingExtraError
from tts.parts import catalog
from tts.presets.load import Preset, load_preset
from tts.presets.schema import preset_schema

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="List, show, check and draw presets.\n\nExample: tts presets show self_consistency",
)
NameArgument = Annotated[str, typer.Argument(help="A preset's name or file.", metavar="NAME")]


@app.callback(invoke_without_command=True)
def _main(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_presets(as_json=False)


@app.command("list")
def list_presets(as_json: flags.JsonFlag = False) -> None:
    """List the presets that ship with the package, and the papers of their strategies.

    Example: tts presets list
    """
    rows = [_row(name) for name in catalog.preset_files()]
    if as_json:
        keys = ("name", "description", "arxiv")
        output.print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table = output.new_table("preset", "description", "arXiv")
    for name, description, papers in rows:
        output.add_row(table, name, description, "\n".join(papers))
    output.print_table(table)


def _row(name: str) -> tuple[str, str, list[str]]:
    try:
        preset = load_preset(name)
    except MissingExtraError as error:
        return name, str(error), []
    return name, preset.description, _papers(preset)


def _papers(preset: Preset) -> list[str]:
    strategy = preset.values.get("strategy")
    return catalog.papers(catalog.load("strategy", strategy)) if strategy else []


@app.command()
def show(
    name: NameArgument, overrides: flags.SetFlag = None, as_json: flags.JsonFlag = False
) -> None:
    """Print a preset with every parameter: its value, where that was set, its default and meaning.

    What is printed is a preset itself: a beginning for one of your own.

    Example: tts presets show self_consistency --set n=32
    """
    preset = load_preset(name, overrides or ())
    if as_json:
        values = {**preset.values, "nodes": preset.pipeline.to_mapping()}
        output.print_json({"name": preset.name, **values})
        return
    for line in preset_lines(preset):
        output.print_text(line)


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="The YAML file of a preset.", metavar="FILE")],
) -> None:
    """Check a preset: exit code 0, or 2 with file and line of what is wrong.

    Example: tts presets check my_preset.yaml
    """
    preset = load_preset(file)
    output.print_text(f"{file}: good; {_nodes(preset)}")


@app.command()
def schema() -> None:
    """Print the form of presets as JSON Schema, by which editors complete YAML as it is typed.

    Example: tts presets schema
    """
    output.print_json(preset_schema())


@app.command()
def graph(name: NameArgument) -> None:
    """Print a preset's pipeline as a Mermaid flowchart.

    Example: tts presets graph self_consistency
    """
    output.print_text(load_preset(name).pipeline.to_mermaid())


def _nodes(preset: Preset) -> str:
    return " -> ".join(node for node, _ in preset.pipeline)
