"""The local web server: pages from this package, answers from run folders, nobody else let in."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any

from aiohttp import web

from tts.errors import InputError, TTSError
from tts.viewer.answers import ANSWERS
from tts.viewer.runs import Library

STATIC = files("tts.viewer") / "static"
# What a model wrote is shown as text; should a mistake of ours let it through as markup, then no
# script, style, picture or form of it is taken from anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def make_app(library: Library, *, hosts: tuple[str, ...] = _LOCAL) -> web.Application:
    """Return the application.

    Args:
        library: What it shows; read by one thread at a time.
        hosts: Names that a browser may call this server by. Others are refused, so that no page
            from elsewhere can have a name of its own lead here and read runs.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.host.rpartition(":")[0] not in hosts and request.host not in hosts:
            raise web.HTTPForbidden(text="this server answers by its own name alone")
        response: web.StreamResponse = await handler(request)
        response.headers.update(_HEADERS)
        return response

    app = web.Application(middlewares=[guard])
    reader = ThreadPoolExecutor(1, thread_name_prefix="runs")

    async def answer(request: web.Request) -> web.Response:
        ask = ANSWERS.get(request.match_info["what"])
        if ask is None:
            raise web.HTTPNotFound
        loop = asyncio.get_running_loop()
        try:
            body = await loop.run_in_executor(reader, partial(_answer, ask, library, request.query))
        except TTSError as error:
            status = 404 if isinstance(error, InputError) else 500
            return web.json_response({"error": str(error)}, status=status)
        return web.Response(body=body, content_type="application/json")

    app.router.add_get("/api/{what}", answer)
    app.router.add_get("/{path:.*}", _page)
    return app


def _answer(ask: Any, library: Library, query: Any) -> bytes:
    return json.dumps(ask(library, query)).encode()


async def _page(request: web.Request) -> web.Response:
    name = request.match_info["path"] or "index.html"
    found = STATIC
    for part in name.split("/"):
        found = found / part
    kind = _KINDS.get(f".{name.rpartition('.')[2]}")
    if ".." in name or kind is None or not found.is_file():
        raise web.HTTPNotFound
    charset = None if kind == "font/woff2" else "utf-8"
    return web.Response(body=found.read_bytes(), content_type=kind, charset=charset)


async def serve(library: Library, *, port: int, started: Any) -> None:
    """Serve on the loopback until the task is cancelled.

    Args:
        library: What is shown.
        port: Where; 0 for any free one.
        started: Called with the address once it can be opened.

    Raises:
        InputError: The port is taken.
    """
    runner = web.AppRunner(make_app(library), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(f"port {port} is taken; choose another with --port") from error
        started(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
