"""The ASGI application: the routes of OpenAI's protocol, health, figures and their description."""

import json
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from tts.errors import InputError
from tts.parts.parameters import Parameters, checked
from tts.server import asked as asking
from tts.server.answers import Refusal
from tts.server.asked import Asked
from tts.server.exchange import Form, answer, refused, told
from tts.server.forms import Chat, Continuation
from tts.server.guard import MAX_BODY, Guard
from tts.server.protocol import ChatRequest, CompletionRequest, ResponsesRequest
from tts.server.responses import Responses
from tts.server.service import Planned, Service
from tts.version import VERSION

_FORMS: dict[str, tuple[type[Parameters], Callable[[Any], Asked], Callable[[Planned], Form]]] = {
    "/v1/chat/completions": (ChatRequest, asking.of_chat, Chat),
    "/v1/completions": (CompletionRequest, asking.of_completion, Continuation),
    "/v1/responses": (ResponsesRequest, asking.of_response, Responses),
}


def build_app(service: Service, *, max_body: int = MAX_BODY) -> ASGIApp:
    """Return the application of a service that is open.

    Args:
        service: Solves requests.
        max_body: Most bytes of a request.
    """
    app = FastAPI(
        title="tts",
        version=VERSION,
        description="Presets of test-time scaling as models of OpenAI's protocol.",
    )
    named: dict[str, Any] = {}
    for path, (model, read, form) in _FORMS.items():
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        named.update(schema.pop("$defs", {}))
        _add(app, service, path, schema, model, read, form)

    @app.get("/v1/models", summary="List the engine's model and the presets that it can carry.")
    async def models() -> JSONResponse:
        told = [_entry(service.model, "Plain samples.", service)]
        told += [_entry(one.name, one.description, service) for one in service.presets.values()]
        return JSONResponse({"object": "list", "data": told})

    @app.get("/v1/models/{name:path}", summary="Describe one of them.")
    async def one_model(name: str) -> JSONResponse:
        if name == service.model:
            return JSONResponse(_entry(name, "Plain samples.", service))
        if name in service.presets:
            return JSONResponse(_entry(name, service.presets[name].description, service))
        refusal = Refusal(404, f"there is no model {name!r}", "model_not_found")
        return JSONResponse(refusal.body(), refusal.status)

    @app.get("/health", summary="Tell whether requests are answered.")
    async def health() -> JSONResponse:
        if service.failure is not None or service.is_ending:
            status = "ending" if service.is_ending else "failed"
            return JSONResponse({"status": status}, 503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", summary="Tell figures as Prometheus reads them.")
    async def metrics() -> PlainTextResponse:
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return PlainTextResponse(service.meters.page(), media_type=media_type)

    app.add_exception_handler(HTTPException, _no_route)
    app.openapi().setdefault("components", {}).setdefault("schemas", {}).update(named)
    return Guard(app, service.clients, max_body)


def _add(
    app: FastAPI,
    service: Service,
    path: str,
    schema: dict[str, Any],
    model: type[Parameters],
    read: Callable[[Any], Asked],
    form: Callable[[Planned], Form],
) -> None:
    content = {"application/json": {"schema": schema}}

    @app.post(
        path,
        summary=(model.__doc__ or "").partition("\n")[0],
        openapi_extra={"requestBody": {"content": content, "required": True}},
    )
    async def serve(request: Request) -> Response:
        try:
            body = checked(model, await _json(request), "the request")
            planned = service.plan(read(body))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody receives it
        except Exception as error:
            return refused(service, None, told(error))
        return await answer(service, request.state.client, planned, form(planned), request)


async def _no_route(request: Request, error: Exception) -> JSONResponse:
    """Tell as the protocol tells errors that nothing is at a path, or not by this method."""
    assert isinstance(error, HTTPException)
    path, taken = request.url.path, (error.headers or {}).get("Allow", "")
    said = f"there is nothing at {path}; /docs lists what this server answers"
    if error.status_code != 404:
        said = f"{path} takes {taken}, not {request.method}" if taken else str(error.detail)
    body = Refusal(error.status_code, said, "no_such_route").body()
    return JSONResponse(body, error.status_code, error.headers)


async def _json(request: Request) -> dict[str, Any]:
    """Return a body that is a JSON object.

    Raises:
        Refusal: It is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a form of a foreign page could send any other
        raise Refusal(415, "send the header `Content-Type: application/json`", "wrong_type")
    data = await request.body()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError("the body is no JSON object")
    return value


def _entry(name: str, description: str, service: Service) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "tts",
        "root": service.model,
        "max_model_len": service.engine.info.context_tokens,
        "description": description,
    }
