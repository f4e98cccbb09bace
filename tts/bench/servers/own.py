"""Servers in processes of their own: any, and vLLM's with what it says of its work."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec

from tts import bundled
from tts.errors import MissingExtraError

# Its server imports these, which vLLM for CPUs does not bring.
NEEDED = ("watchfiles", "model_hosting_container_standards", "jmespath")
_PATIENCE_SECONDS = 360.0
_LINE = re.compile(r"^(\w+(?::\w+)?)(\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Served:
    """What a server has done so far.

    Attributes:
        tokens: Generated.
        requests: HTTP calls for completions.
    """

    tokens: int
    requests: int

    def __sub__(self, other: "Served") -> "Served":
        """Return what it has done since."""
        return Served(self.tokens - other.tokens, self.requests - other.requests)


@contextmanager
def vllm_server(model: str = "bundled:reasoner", *, dtype: str = "float32") -> Iterator[str]:
    """Serve a model as "m"; gives the address.

    Without chunked prefill: with it, a seeded prompt that is prefilled in two steps ends vLLM 0.32
    on a CPU ("CPU Generator does not use offset").

    Args:
        model: A folder, a Hugging Face id, or a bundled model.
        dtype: Of its weights.

    Raises:
        MissingExtraError: vLLM's server is not installed.
        RuntimeError: It does not start.
    """
    missing = [name for name in ("vllm", *NEEDED) if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"vLLM's own server needs {', '.join(missing)}: pip install them")
    port = free_port()
    path = bundled.resolve(model) if model.startswith(bundled.PREFIX) else model
    options = f"--host 127.0.0.1 --port {port} --block-size 32 --enforce-eager --dtype {dtype}"
    options += " --max-model-len 2048 --kv-cache-memory-bytes 134217728 --served-model-name m"
    options += " --no-enable-chunked-prefill --max-num-batched-tokens 4096"
    command = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(path))
    with listening([*command, *options.split()], port, {"VLLM_LOGGING_LEVEL": "ERROR"}):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def listening(
    command: Sequence[str], port: int, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a server until the block ends; gives the process's number once it listens.

    Args:
        command: Starts it; its threads compute one at a time.
        port: Of loopback, where it will listen.
        env: Further variables of its environment.

    Raises:
        RuntimeError: It does not start.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if not _listens(process, port):
            raise RuntimeError(f"{' '.join(command[:3])} does not start")
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # processes that it has started, too
        process.wait(20)


def read_served(url: str) -> Served:
    """Return what a server of vLLM says of itself in `/metrics`."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=10) as page:
        found = _LINE.findall(page.read().decode())
    tokens = sum(float(n) for name, _, n in found if name == "vllm:generation_tokens_total")
    requests = sum(
        float(n)
        for name, labels, n in found
        if name == "http_requests_total" and "completions" in labels
    )
    return Served(int(tokens), int(requests))


def free_port() -> int:
    """Return a port of loopback at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False
