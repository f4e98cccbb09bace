"""Where a server is and how we show who we are; what of it must never be written down."""

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from tts.errors import InputError
from tts.types.thought import held_back

DEFAULT_URL = "https://api.openai.com/v1"
_ENDPOINTS = ("/chat/completions", "/completions", "/models")
_HIDDEN = "***"
_LEAST_LENGTH = 6  # shorter keys ("none", "EMPTY") are placeholders, and parts of many words
_WORD_LENGTH = 16  # letters alone are a word ("ollama") unless there are this many


class Secrets:
    """Texts that leave the engine pass through here: keys and passwords become ***."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        found = {form for value in values if value for form in (value, quote(value, safe=""))}
        # The longest first: a secret may be part of another.
        self._values = sorted(filter(_is_telling, found), key=len, reverse=True)

    def mask(self, text: str, *, is_whole: bool = True) -> str:
        """Return the text without secrets; of one that goes on, without the beginning of one."""
        for value in self._values:
            if value in text:
                text = text.replace(value, _HIDDEN)
        if is_whole:
            return text
        held = max((held_back(text, value) for value in self._values), default=0)
        return text[: len(text) - held]

    def __repr__(self) -> str:
        """Show none of them."""
        return f"Secrets({len(self._values)})"


@dataclass(frozen=True, slots=True)
class Address:
    """A server.

    Attributes:
        base_url: Without credentials and closing slash; safe to show.
        headers: How we show who we are.
        secrets: What must not be shown.
    """

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: Secrets

    @property
    def root(self) -> str:
        """The address of routes that stand beside the OpenAI ones, such as vLLM's `/tokenize`."""
        return self.base_url.removesuffix("/v1")


def read_address(base_url: str | None, *, api_key: str | None, api_key_env: str | None) -> Address:
    """Read an address, and find the key.

    The key is `api_key`, else what the variable `api_key_env` holds, else `user:password` of the
    address, else what OPENAI_API_KEY holds, else none.

    Args:
        base_url: None takes OPENAI_BASE_URL, then OpenAI itself.
        api_key: The key itself.
        api_key_env: Name of the environment variable that holds it.

    Raises:
        InputError: The address cannot be one, or the key is missing or cannot be sent.
    """
    given = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).strip()
    parts = _split(given)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    clean = urlunsplit((parts.scheme.lower(), host, path, "", ""))
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            raise InputError(
                f"base_url {clean!r} is that of one endpoint; write "
                f"{clean.removesuffix(endpoint)!r}"
            )
    key = _find_key(api_key, api_key_env, has_user=bool(user or password))
    secrets = [key, password, f"{user}:{password}" if password else ""]
    headers: dict[str, str] = {}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    elif user or password:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
        secrets.append(token)
    return Address(clean, headers, Secrets(secrets))


def _split(url: str) -> SplitResult:
    shown = f"***@{url.rpartition('@')[2]}" if "@" in url else url
    if "://" not in url:
        raise InputError(f"base_url {shown!r} has no scheme; write 'http://{shown}' or 'https://'")
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        raise InputError(f"base_url {shown!r} is no address: {error}") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise InputError(f"base_url {shown!r} must begin with http:// or https://")
    if not parts.hostname or not has_port or any(c.isspace() for c in url):
        raise InputError(f"base_url {shown!r} names no host, or no port that there can be")
    if parts.query or parts.fragment:
        raise InputError(f"base_url {shown!r} must end with its path, without ? and #")
    return parts


def _find_key(api_key: str | None, api_key_env: str | None, *, has_user: bool) -> str:
    if api_key is None and api_key_env:
        api_key = os.environ.get(api_key_env)
        if not api_key:
            raise InputError(f"the environment variable {api_key_env} holds no API key; set it")
    if api_key is None and not has_user:
        api_key = os.environ.get("OPENAI_API_KEY")
    key = (api_key or "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("the API key holds characters that cannot be sent; copy it once more")
    return key


def _is_telling(value: str) -> bool:
    """Whether a text is long and odd enough to be a secret, and no word of an answer."""
    if ":" in value and len(value) > 1:  # user:password
        return True
    least = _WORD_LENGTH if value.isalpha() else _LEAST_LENGTH
    return len(value) >= least
