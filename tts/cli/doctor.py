"""Say what this machine can run, and why not."""

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import typer

from tts import bundled
from tts.console import flags, output
from tts.costs.hardware import measure_hardware
from tts.errors import MissingExtraError, TTSError, VerifierError
from tts.evals import environment
from tts.parts import catalog
from tts.parts.build import build_part, default_model
from tts.presets.load import load_preset

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        kind: machine, engine, model, benchmark or preset.
        name: What was looked at.
        is_ready: None where there is nothing to be ready for.
        details: What was found, or why not and what to do.
    """

    kind: str
    name: str
    is_ready: bool | None
    details: str


@app.command()
def doctor(
    as_json: flags.JsonFlag = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Measure this CPU's FLOP/s and bytes/s, too.")
    ] = False,
) -> None:
    """Say what this machine can run, and why not.

    Example: tts doctor
    """
    engines = _engines()
    presets = _presets(has_embedded=bool(engines[0].is_ready))
    measured = [_profile()] if profile else []
    machine = [*_machine(), *measured, _sandbox()]
    findings = [*machine, *engines, *_models(), *_benchmarks(), *presets]
    if as_json:
        output.print_json({"schema": 1, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    if not any(finding.is_ready for finding in findings if finding.kind == "engine"):
        raise typer.Exit(1)


def _profile() -> Finding:
    found = measure_hardware()
    flops, speed = found.flops_per_second / 1e9, found.bytes_per_second / 1e9
    details = f"{flops:,.1f} GFLOP/s (float32 matrix product), {speed:,.1f} GB/s (copy)"
    return Finding("machine", "profile", None, details)


def _sandbox() -> Finding:
    """Say what protects this machine from the code that the verifier `execution` runs."""
    try:
        protection = build_part("verifier", "execution", {}).protection
    except VerifierError as error:
        return Finding("machine", "sandbox", False, str(error))
    return Finding("machine", "sandbox", True, f"code is run with {protection}")


def _print(findings: list[Finding]) -> None:
    marks = {True: "yes", False: "no", None: ""}
    table = output.new_table("", "ready", "")
    kind = ""
    for group in _grouped(findings):
        first = group[0]
        names = ", ".join(finding.name for finding in group)
        output.add_row(
            table,
            first.kind if first.kind != kind else "",
            marks[first.is_ready],
            names if len(group) > 1 and first.is_ready else f"{names}: {first.details}",
        )
        kind = first.kind
    output.print_table(table)


def _grouped(findings: list[Finding]) -> list[list[Finding]]:
    """Put benchmarks and presets together that are ready, or that lack the same."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        is_many = finding.kind in ("benchmark", "preset")
        shared = "" if finding.is_ready else finding.details
        key = (finding.kind, str(finding.is_ready), shared if is_many else finding.name)
        groups.setdefault(key, []).append(finding)
    return list(groups.values())


def _machine() -> list[Finding]:
    machine, found = environment.describe_machine(), environment.versions()
    flags = ", ".join(machine["cpu_flags"]) or "no vector extensions that matter"
    gpus = "; ".join(machine["gpus"]) or "none seen"
    facts = {
        "python": f"{found['python']} on {machine['system']}",
        "packages": ", ".join(f"{k} {v}" for k, v in found.items() if k != "python"),
        "processor": f"{machine['cpu']}, {machine['cores']} cores, {flags}",
        "memory": f"{machine['memory_bytes'] / _GIB:.1f} GiB",
        "GPU": gpus,
    }
    return [Finding("machine", name, None, text) for name, text in facts.items()]


def _engines() -> list[Finding]:
    has_vllm = importlib.util.find_spec("vllm") is not None
    on_gpu = environment.installed_version("vllm") is not None
    lacks_gpu = on_gpu and not environment.gpus()
    if not has_vllm:
        details = "vLLM is not installed: pip install 'tts-orchestrator[cpu]' (or [cuda])"
    elif lacks_gpu:
        details = "vLLM's CUDA build, but no GPU is seen; on a CPU install the extra cpu"
    else:
        details = f"embedded, on the {'GPU' if on_gpu else 'CPU'}"
    has_client = importlib.util.find_spec("aiohttp") is not None
    return [
        Finding("engine", "vllm", has_vllm and not lacks_gpu, details),
        Finding("engine", "openai", has_client, "any OpenAI-compatible server, --model MODEL@URL"),
    ]


def _models() -> list[Finding]:
    return [
        _try("model", f"bundled:{name}", partial(_describe_model, name)) for name in bundled.NAMES
    ]


def _describe_model(name: str) -> str:
    folder = bundled.resolve(name)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return f"{size / 2**20:.1f} MiB, files intact"


def _benchmarks() -> list[Finding]:
    return [_benchmark(name) for name in catalog.names("benchmark")]


def _benchmark(name: str) -> Finding:
    module = catalog.load("benchmark", name)
    summary = catalog.summary(module)
    if name == "file":
        return Finding("benchmark", name, True, summary)
    if hasattr(module, "PUBLISHED"):
        source = "downloaded from the Hugging Face hub on first use; offline, --data FILE"
        return Finding("benchmark", name, None, source)
    return Finding("benchmark", name, True, summary)


def _presets(has_embedded: bool) -> list[Finding]:
    return [
        _try("preset", name, partial(_describe_preset, name, has_embedded))
        for name in catalog.preset_files()
    ]


def _describe_preset(name: str, has_embedded: bool) -> str:
    preset = load_preset(name)
    for _, node in preset.pipeline:
        for verifier in node.operator.spec.verifiers:
            model = default_model(verifier)
            if model is not None and not has_embedded:
                raise MissingExtraError(f"its verifier {verifier!r} needs the embedded vLLM")
            if model is not None and model.startswith(bundled.PREFIX):
                bundled.resolve(model)
    return preset.description


def _try(kind: str, name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(kind, name, True, look())
    except TTSError as error:
        return Finding(kind, name, False, str(error))
