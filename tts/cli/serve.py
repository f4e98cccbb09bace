"""Serve presets as models of OpenAI's protocol."""

import asyncio
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tts.budget import to_budget
from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output
from tts.errors import optional_import

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_engine
def serve(
    presets: flags.PresetFlag = None,
    host: Annotated[
        str, typer.Option("--host", help="Listen at this address; others than loopback need a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Listen at this port; 0 is a free one.")
    ] = 8000,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            "--api-key-env",
            metavar="NAME",
            help="Ask clients for the key that this environment variable holds.",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="FILE",
            help="Ask clients for keys of their own; this YAML file has their budgets and rates.",
        ),
    ] = None,
    max_concurrency: Annotated[
        int, typer.Option("--max-concurrency", min=1, help="Most requests under way.")
    ] = 256,
    budget: flags.BudgetFlag = None,
    run_budget: Annotated[
        str | None,
        typer.Option(
            "--run-budget", help="Limit what all requests together may cost.", metavar="LIMIT"
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            "--grace",
            min=0,
            help="Seconds that requests get to finish when the server is asked to end; then they "
            "are answered with what they have.",
        ),
    ] = 30.0,
    *,
    engine: EngineFlags,
) -> None:
    """Serve presets as models of OpenAI's protocol: a client changes its base URL.

    Without --preset all presets are served that the engine can carry, and the model itself.

    Example: tts serve --model bundled:reasoner --preset self_consistency --port 8000
    """
    with optional_import("tts serve"):
        from tts.server.keys import load_clients
        from tts.server.run import Server
        from tts.server.run import serve as listen

    clients = load_clients(keys, api_key_env)
    runtime = engine.runtime(run_budget=run_budget, max_problems=max_concurrency)

    def tell(url: str, server: Server) -> None:
        service = server.service
        output.print_text(f"{url}/v1 serves {service.model} and {len(service.presets)} presets")
        output.print_note(f"{url}/docs describes it, {url}/metrics has figures; Ctrl-C ends it")

    work = listen(
        runtime,
        host=host,
        port=port,
        presets=presets or (),
        clients=clients,
        max_concurrency=max_concurrency,
        budget=to_budget(budget),
        grace_seconds=grace,
        on_start=tell,
    )
    if find_spec("uvloop"):  # as vLLM's own server, where it is installed
        asyncio.set_event_loop_policy(import_module("uvloop").EventLoopPolicy())
    output.run_async(work, if_interrupted="ended")
