"""Addresses are checked first, and keys are never written down."""

import asyncio
import json
import logging

import pytest

from tests.support.remote import ask, read
from tts.bench.servers.misbehaving import (
    Asked,
    Events,
    Json,
    Raw,
    Reply,
    Server,
    choice,
    delta,
    refusal,
    whole,
)
from tts.engine.openai import OpenAIEngine
from tts.engine.remote.address import Secrets, read_address
from tts.errors import InputError, TTSError

KEY = "sk-proj-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000/v1", "has no scheme; write 'http://localhost:8000/v1'"),
        ("api.example.com", "has no scheme"),
        ("ftp://host/v1", "must begin with http"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://host:99999/v1", "is no address"),
        ("http://host:port/v1", "is no address"),
        ("http://host:0/v1", "no port that there can be"),
        ("http://[::1/v1", "is no address"),
        ("http://ho st/v1", "names no host"),
        ("http://host/v1?key=1", "without"),
        ("http://host/v1#x", "without"),
        ("http://host/v1/chat/completions", "write 'http://host/v1'"),
        ("http://host/v1/models/", "write 'http://host/v1'"),
    ],
)
def test_addresses_that_cannot_be_are_refused_in_a_sentence(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        OpenAIEngine("m", base_url=url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        (" HTTPS://api.example.com/v1 ", "https://api.example.com/v1"),
        ("http://user:pass%20word@host:1/v1", "http://host:1/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        (None, "https://api.openai.com/v1"),
    ],
)
def test_addresses_are_shown_without_credentials(url: str | None, expected: str) -> None:
    assert OpenAIEngine("m", base_url=url).base_url == expected


def test_the_key_is_found_where_it_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(url: str = "http://h/v1", **named: str | None) -> str | None:
        options: dict[str, str | None] = {"api_key": None, "api_key_env": None, **named}
        return read_address(url, **options).headers.get("Authorization")

    assert shown() is None
    monkeypatch.setenv("OPENAI_API_KEY", " from-openai\n")
    monkeypatch.setenv("MY_KEY", "from-mine")
    assert shown() == "Bearer from-openai"
    assert shown(api_key_env="MY_KEY") == "Bearer from-mine"
    assert shown(api_key="given", api_key_env="MY_KEY") == "Bearer given"
    assert shown("http://user:pass@h/v1") == "Basic dXNlcjpwYXNz"  # user:pass
    assert shown("http://user:pass@h/v1", api_key="given") == "Bearer given"
    with pytest.raises(InputError, match="the environment variable OTHER_KEY holds no API key"):
        shown(api_key_env="OTHER_KEY")


@pytest.mark.parametrize("key", ["kéy", "a b", "a\nb"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InputError) as refused:
        OpenAIEngine("m", base_url="http://h/v1", api_key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("sk-abc123", "key sk-abc123!", "key ***!"),
        ("user:pw", "http://user:pw@host", "http://***@host"),
        ("p@ss/word1", "p%40ss%2Fword1", "***"),
        ("none", "none of them", "none of them"),  # a placeholder, not a secret
        ("EMPTY", "EMPTY", "EMPTY"),
        ("ollama", "ollama run", "ollama run"),
        ("", "anything", "anything"),
    ],
)
def test_secrets_are_masked(secret: str, text: str, expected: str) -> None:
    assert Secrets([secret]).mask(text) == expected


def echo(asked: Asked) -> str:
    return f"you sent {json.dumps(dict(asked.headers))}"


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: refusal(400, echo(asked)),
        lambda asked: refusal(401, echo(asked)),
        lambda asked: refusal(500, echo(asked)),
        lambda asked: refusal(500, "x" * 380 + asked.headers["authorization"]),  # cut in the key
        lambda asked: Raw(b"<html>" + echo(asked).encode()),
        lambda asked: whole(choice(0, "", finish=echo(asked))),
        lambda asked: Json({}, 302, {"Location": f"http://{echo(asked)[:900]}"}),
        lambda asked: whole(choice(0, echo(asked))),
        lambda asked: whole(choice(0, None, reasoning_content=echo(asked))),
        lambda asked: Events([*[delta(0, c) for c in echo(asked)], delta(0, finish="stop")]),
        lambda asked: Events([{"error": {"message": echo(asked)}}]),
        lambda asked: Json({"error": echo(asked)}),
        lambda asked: refusal(400, f"temperature is not supported; {echo(asked)}"),
    ],
)
@pytest.mark.parametrize("is_in_url", [False, True])
def test_what_a_server_echoes_of_our_key_is_never_told(
    answer: object, is_in_url: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    async def use(engine: OpenAIEngine) -> None:
        for _ in range(2):
            try:
                told.extend(map(repr, await read(engine, ask(2))))
            except TTSError as error:
                told.append(f"{error!r} {error.__cause__!r} {error.__context__!r}")

    async def main() -> None:
        server = Server(answer)  # type: ignore[arg-type]
        async with server.running():
            url = server.url.replace("//", "//someone:passw0rd-x@") if is_in_url else server.url
            engine = OpenAIEngine(
                "m", base_url=url, api_key=None if is_in_url else KEY, max_n=1, max_retries=0
            )
            told.append(f"{engine!r} {engine.info} {engine._address}")
            await use(engine)
            await engine.aclose()

    with caplog.at_level(logging.DEBUG, "tts"):
        asyncio.run(asyncio.wait_for(main(), 30))
    everything = "\n".join([*told, caplog.text])
    assert "you sent" in everything or "***" in everything
    for secret in (KEY[:12], "passw0rd-x", "c29tZW9uZTpw"):  # the last: of Basic
        assert secret not in everything


def test_the_key_is_not_sent_to_where_a_server_redirects() -> None:
    other = Server()

    async def main() -> None:
        async with other.running():

            def answer(asked: Asked) -> Reply:
                return Json({}, 307, {"Location": f"{other.url}/chat/completions"})

            server = Server(answer)
            async with server.running():
                engine = OpenAIEngine("m", base_url=server.url, api_key=KEY)
                with pytest.raises(TTSError, match="redirects"):
                    await read(engine, ask())
                await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert not other.asked
