"""Who may ask, how often and for how much.

A YAML file names clients; the keys themselves stay in the environment, or are told by their hash:

    alice: {key_env: ALICE_KEY, budget: 2M, rate: 60}
    bob: {sha256: 5e884898da28..., budget: $5}
"""

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from tts.budget import to_budget
from tts.errors import InputError
from tts.parts.parameters import Parameters
from tts.presets.values import validate
from tts.presets.yaml_file import load_document
from tts.types import Budget

_MINUTE = 60.0


class ClientParameters(Parameters):
    """What the file of keys says of one client."""

    key_env: str | None = Field(None, description="environment variable that holds the key")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="hash of the key, in hexadecimal digits"
    )
    budget: str | None = Field(None, description="hard limits on all that the client does")
    rate: float | None = Field(None, gt=0, description="requests a minute")


@dataclass(slots=True, eq=False)
class Client:
    """Somebody who may ask.

    Attributes:
        name: For figures.
        digest: Hash of the key; empty where none is asked for.
        budget: Hard limits on all that the client does while the server runs.
        rate: Requests a minute; None is no limit.
        clock: Tells the time in seconds.
    """

    name: str
    digest: bytes = b""
    budget: Budget = field(default_factory=Budget)
    rate: float | None = None
    clock: Callable[[], float] = time.monotonic
    _room: float | None = None
    _looked: float = 0.0

    def wait_seconds(self) -> float:
        """Count a request; returns 0 if it may be made, else after how long one more may be.

        A client that was idle for a minute may make a minute's requests at once.
        """
        if self.rate is None:
            return 0.0
        now = self.clock()
        gained = (now - self._looked) * self.rate / _MINUTE
        most = max(1.0, self.rate)
        self._room = most if self._room is None else min(most, self._room + gained)
        self._looked = now
        if self._room < 1.0:
            return (1.0 - self._room) * _MINUTE / self.rate
        self._room -= 1.0
        return 0.0


class Clients:
    """All who may ask; without any, everybody may.

    Args:
        clients: With keys of their own.
    """

    def __init__(self, clients: Sequence[Client] = ()) -> None:
        self.has_keys = bool(clients)
        self.all = tuple(clients) or (Client("anybody"),)

    def find(self, header: str) -> Client | None:
        """Return whose key a header `Authorization` holds; None if nobody's.

        All keys are compared, each in a time that tells nothing of it.
        """
        if not self.has_keys:
            return self.all[0]
        scheme, _, key = header.partition(" ")
        digest = _digest(key.strip())
        found = None
        for client in self.all:
            if hmac.compare_digest(client.digest, digest) and scheme.lower() == "bearer":
                found = client
        return found


def load_clients(
    file: Path | None, key_env: str | None, environment: Mapping[str, str] = os.environ
) -> Clients:
    """Return the clients of a file, and one whose key an environment variable holds.

    Args:
        file: YAML; None for none.
        key_env: Name of the variable; None for none.
        environment: Where variables are looked up.

    Raises:
        InputError: The file cannot be used, with its line, or a variable is not set.
    """
    clients = []
    if key_env is not None:
        clients.append(Client("key", _digest(_variable(key_env, environment, "--api-key-env"))))
    if file is not None:
        document = load_document(file)
        for name, values in document.values.items():
            place = document.place((name,))
            given = validate(ClientParameters, values, document, (name,), f"client {name!r}")
            if (given.key_env is None) == (given.sha256 is None):
                raise InputError(f"{place}: client {name!r}: name either key_env or sha256")
            digest = (
                bytes.fromhex(given.sha256)
                if given.sha256
                else _digest(_variable(given.key_env or "", environment, place))
            )
            budget = to_budget(given.budget, name=f"{place}: budget") or Budget()
            clients.append(Client(name, digest, budget, given.rate))
        if not clients:
            raise InputError(f"{file}: names no client; write NAME: {{key_env: VARIABLE}}")
    if len({client.digest for client in clients}) < len(clients):
        raise InputError("two clients have the same key; give each its own")
    return Clients(clients)


def _variable(name: str, environment: Mapping[str, str], place: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise InputError(f"{place}: the environment variable {name} is not set")
    return value


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
