"""The reference pages of the documentation site, made of the catalogue while mkdocs builds.

A hook of mkdocs (`hooks:` in mkdocs.yml). A part that is added is on its page with the next build;
a parameter without a meaning ends it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from tts.cli import _parameters
from tts.cli.main import app
from tts.engine import options
from tts.errors import EXTRAS
from tts.events import KINDS
from tts.parts import catalog
from tts.parts.build import default_model, parameters_of
from tts.presets.load import PromptParameters, SamplingParameters, load_preset
from tts.presets.schema import preset_schema

_KINDS = {
    "strategy": ("Strategies", "A preset names one by `strategy:` and sets its `parameters:`."),
    "operator": ("Operators", "What a node of a `pipeline:` does; Python builds them with `>>`."),
    "verifier": ("Verifiers", "What scores attempts: `verifier: NAME` or `NAME(option=value)`."),
    "benchmark": ("Benchmarks", "What `tts eval NAME` solves."),
    "memory": ("Memories", "What steps of a search may call to mind; see [memory](../memory.md)."),
    "tool": ("Tools", "What tasks of a planned graph may call; see [graphs](../graphs.md)."),
}
_PUBLIC = {
    "Solving": ("tts.api.solve", "tts.api.solve_many", "tts.api.asolve", "tts.api.shutdown"),
    "Evaluating": ("tts.evaluation.evaluate", "tts.types.figures.Summary"),
    "Building": (
        "tts.pipeline.Pipeline",
        "tts.presets.load.load_preset",
        "tts.presets.load.Preset",
    ),
    "Running": ("tts.session.runtime.Runtime",),
    "Values": (
        "tts.types.Problem",
        "tts.types.Result",
        "tts.types.Answer",
        "tts.types.Support",
        "tts.types.Trajectory",
        "tts.types.Score",
        "tts.types.Usage",
        "tts.types.Sampling",
        "tts.budget.Budget",
    ),
    "Errors": ("tts.errors",),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages: dict[str, Callable[[], Iterator[str]]] = {
        "cli": _cli,
        "presets": _presets,
        "yaml": _yaml,
        "engines": _engines,
        "events": _events,
        "python": _python,
        "strategies": lambda: _parts("strategy"),
        "operators": lambda: _parts("operator"),
        "verifiers": lambda: _parts("verifier"),
        "benchmarks": lambda: _parts("benchmark"),
        "memories": lambda: _parts("memory"),
        "tools": lambda: _parts("tool"),
    }
    for name, lines in pages.items():
        text = "\n".join(lines()) + "\n"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    schema = json.dumps(preset_schema(), indent=1)
    files.append(File.generated(config, "reference/preset.schema.json", content=schema))
    return files


def _parts(kind: str) -> Iterator[str]:
    title, about = _KINDS[kind]
    yield from (f"# {title}", "", about, "")
    users = _users() if kind in ("strategy", "operator") else {}
    for name in catalog.names(kind):
        model = parameters_of(kind, name)
        module = catalog.load(kind, name)
        yield from (f"## {name}", "", *_prose((model if kind == "operator" else module).__doc__))
        if papers := catalog.papers(module):
            links = (f"[arXiv:{paper}](https://arxiv.org/abs/{paper})" for paper in papers)
            yield from (f"Papers: {', '.join(links)}.", "")
        if presets := users.get(name):
            links = (f"[`{preset}`](presets.md#{preset})" for preset in presets)
            yield from (f"Presets: {', '.join(links)}.", "")
        if kind == "verifier" and (reads := default_model(name)):
            yield from (
                f"Reads the reward model `{reads}`; `--verifier {name}=MODEL` takes another.",
                "",
            )
        yield from _table(model, f"{kind} {name}")


def _users() -> dict[str, list[str]]:
    """Return which presets use a strategy or an operator."""
    found: dict[str, list[str]] = {}
    for preset in catalog.preset_files():
        loaded = load_preset(preset)
        nodes = (entry["operator"] for entry in loaded.pipeline.to_mapping().values())
        for name in dict.fromkeys((loaded.values.get("strategy"), *nodes)):
            if name:
                found.setdefault(name, []).append(preset)
    return found


def _table(model: Any, what: str) -> Iterator[str]:
    rows = _parameters.parameters(model)
    if not rows:
        yield from ("No parameters.", "")
        return
    yield from ("| parameter | default | meaning |", "|---|---|---|")
    for row in rows:
        if not row.meaning:
            raise PluginError(f"{what}: the parameter {row.name!r} has no description")
        default = "required" if row.is_required else f"`{_short(row.default_text)}`"
        yield f"| `{row.name}` | {_cell(default)} | {_cell(row.meaning)} |"
    yield ""


def _presets() -> Iterator[str]:
    yield from ("# Presets", "", "Ready to run: `tts eval gsm8k --preset NAME`.", "")
    yield "What each asks of the run's engine; [servers](../servers.md) says who has it."
    yield from (
        "",
        "| preset | does | needs | verifiers | further engines |",
        "|---|---|---|---|---|",
    )
    for name in catalog.preset_files():
        preset = load_preset(name)
        specs = [node.operator.spec for _, node in preset.pipeline]
        needs = sorted({need.replace("_", " ") for spec in specs for need in spec.needs})
        needs += ["log-probabilities"] if any(spec.logprobs for spec in specs) else []
        asked = sorted({verifier for spec in specs for verifier in spec.verifiers})
        others = sorted({engine for spec in specs for engine in spec.engines})
        cells = (
            f"[`{name}`](#{name})",
            preset.description,
            ", ".join(dict.fromkeys(needs)),
            ", ".join(f"`{verifier}`" for verifier in asked),
            ", ".join(f"`{engine}`" for engine in others),
        )
        yield f"| {' | '.join(map(_cell, cells))} |"
    for name, path in catalog.preset_files().items():
        nodes = " → ".join(f"`{node}`" for node, _ in load_preset(name).pipeline)
        yield from ("", f"## {name}", "", f"Nodes: {nodes}", "", "```yaml")
        yield from (path.read_text(encoding="utf-8").strip(), "```")


def _yaml() -> Iterator[str]:
    yield from ("# YAML of a preset", "")
    yield "A preset names a `strategy` with its `parameters`, or writes a `pipeline` out."
    yield from ("`tts presets check FILE` names file, line and remedy of what is wrong.", "")
    yield "Editors complete and check it by [its JSON Schema](preset.schema.json), which"
    yield from (
        "`tts presets schema` prints too. For VS Code's YAML extension, at the top of a file:",
        "",
    )
    yield from ("```yaml", "# yaml-language-server: $schema=preset.schema.json", "```", "")
    for key, said in preset_schema()["properties"].items():
        yield f"- `{key}`: {_cell(said['description'])}"
    yield from ("", "[Strategies](strategies.md) and [operators](operators.md) have pages of their")
    yield "own, with the parameters of each."
    yield from ("", "## sampling", "", *_table(SamplingParameters, "sampling"))
    yield from ("## prompt", "", *_table(PromptParameters, "prompt"))


def _engines() -> Iterator[str]:
    yield from ("# Options of engines", "", "`--engine-arg KEY=VALUE`, or `engine_args={...}`.", "")
    for title, names, about in (
        (
            "A model in this process",
            options.EMBEDDED,
            "Beside these, every option of vLLM's `EngineArgs`.",
        ),
        ("A server", options.SERVER, "Defaults and meanings: [servers](../servers.md#options)."),
    ):
        yield from (f"## {title}", "", about, "", *(f"- `{name}`" for name in names), "")
    yield from ("## Extras", "", "| module | extra |", "|---|---|")
    yield from (f"| `{module}` | `{extra}` |" for module, extra in EXTRAS.items())


def _events() -> Iterator[str]:
    yield from ("# Events of a trace", "", "Lines of `trace.jsonl`; see [runs](../runs.md).", "")
    yield from ("| kind | meaning |", "|---|---|")
    yield from (f"| `{kind}` | {_cell(meaning)} |" for kind, meaning in KINDS.items())


def _python() -> Iterator[str]:
    yield from (
        "# Python",
        "",
        "All of these are names of `tts` itself, or of the doors that the text names.",
        "",
    )
    for title, names in _PUBLIC.items():
        yield from (f"## {title}", "")
        for name in names:
            yield from (f"::: {name}", "")


def _cli() -> Iterator[str]:
    yield from ("# Command line", "", "`tts --help` and `tts COMMAND --help` say the same.", "")
    group: Any = typer.main.get_command(app)
    context = group.make_context("tts", [], resilient_parsing=True)
    for name in group.list_commands(context):
        yield from _command(f"tts {name}", group.get_command(context, name), 2)


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {name}", "", *_prose(command.help))
    rows = [parameter for parameter in command.params if parameter.name != "help"]
    if rows:
        yield from ("| | default | |", "|---|---|---|")
    for parameter in rows:
        is_option = parameter.param_type_name == "option"
        said = ", ".join(parameter.opts) if is_option else parameter.metavar or parameter.name
        default = parameter.default
        shown = "" if default in (None, (), False) or callable(default) else f"`{default}`"
        yield f"| `{said}` | {_cell(shown)} | {_cell(getattr(parameter, 'help', '') or '')} |"
    yield ""
    for inner in getattr(command, "commands", {}).values():
        yield from _command(f"{name} {inner.name}", inner, level + 1)


def _prose(text: str | None) -> Iterator[str]:
    """Return a docstring as Markdown: indented lines are code, an example is a command."""
    lines = _parameters.paragraphs(text or "")
    for line in lines:
        if line.startswith("Example: "):
            yield from ("```", line.removeprefix("Example: "), "```")
        else:
            yield line if line.startswith(" ") else line.replace("<", "&lt;")
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
