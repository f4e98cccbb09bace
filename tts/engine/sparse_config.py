"""What block-sparse decode keeps: the option of engines, command line and YAML."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tts.errors import InputError
from tts.kernels.budget import select_budget_pages

_KEY = "tts_sparse"
_SHARED_KEY = "tts_shared_prefix"
_FIELDS = {
    "budget": "budget",
    "page": "page_size",
    "sink": "sink_pages",
    "local": "local_pages",
    "dense_layers": "dense_layers",
    "min_context": "min_context",
}
_EXAMPLE = "budget=1024,page=32,sink=1,local=2,dense_layers=1"


def to_additional_config(sparse: "SparseConfig | None", *, shared_prefix: bool) -> dict[str, Any]:
    """Return what vLLM's `additional_config` carries to our attention; empty for stock vLLM."""
    entries: dict[str, Any] = {} if sparse is None else {_KEY: asdict(sparse)}
    return {**entries, _SHARED_KEY: True} if shared_prefix else entries


def wants_shared_prefix(additional_config: object) -> bool:
    """Return whether an engine with this `additional_config` reads shared prefixes once."""
    return isinstance(additional_config, Mapping) and bool(additional_config.get(_SHARED_KEY))


@dataclass(frozen=True, slots=True)
class SparseConfig:
    """Which KV pages a decode step attends to; a page is one KV block of the engine.

    Attributes:
        budget: Tokens kept per KV head, sink and local pages included; whole pages.
        sink_pages: Pages kept at the start of the context.
        local_pages: Pages kept at its end, the incomplete one included; at least 1.
        dense_layers: First layers that attend to everything.
        min_context: Requests up to this many tokens stay dense; None is the larger of twice the
            budget and 4096, below which selection costs more than it saves on a CPU.
        page_size: Tokens per page; None is the engine's block size.

    Raises:
        InputError: A value that no engine can serve, such as a budget below one page.
    """

    budget: int
    sink_pages: int = 1
    local_pages: int = 2
    dense_layers: int = 1
    min_context: int | None = None
    page_size: int | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before the engine's block size is known."""
        smallest = {"budget": 1, "sink_pages": 0, "local_pages": 1, "dense_layers": 0}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise InputError(f"sparse: {name}={getattr(self, name)}, but the least is {least}")
        if self.min_context is not None and self.min_context < 0:
            raise InputError(f"sparse: min_context={self.min_context}, but the least is 0")
        if self.page_size is not None:
            self.num_pages(self.page_size)

    @property
    def sparse_above(self) -> int:
        """Context tokens above which a request is sparse."""
        return max(2 * self.budget, 4_096) if self.min_context is None else self.min_context

    def num_pages(self, page_size: int) -> int:
        """Return how many pages of this size are kept.

        Raises:
            InputError: The budget is not whole pages, or leaves no page to choose.
        """
        if page_size < 1:
            raise InputError(f"sparse: page={page_size}, but the least is 1")
        try:
            return select_budget_pages(
                self.budget,
                page_size,
                sink_pages=self.sink_pages,
                local_pages=self.local_pages,
            )
        except ValueError as error:
            raise InputError(f"sparse: {error}") from error

    @staticmethod
    def from_vllm(additional_config: object) -> "SparseConfig | None":
        """Return the configuration in vLLM's `additional_config`, if there is one."""
        if not isinstance(additional_config, Mapping) or _KEY not in additional_config:
            return None
        return SparseConfig(**additional_config[_KEY])

    @staticmethod
    def parse(text: str) -> "SparseConfig":
        """Return the configuration that a command line or a YAML file spells.

        Args:
            text: Such as "budget=1024" or "budget=1024,page=64,sink=1,local=2,dense_layers=1".

        Raises:
            InputError: An unknown or repeated name, no whole number, no budget, or values that do
                not fit together.
        """
        values: dict[str, int] = {}
        for part in text.split(","):
            name, _, number = (piece.strip() for piece in part.partition("="))
            if name not in _FIELDS:
                raise InputError(
                    f"sparse {text!r}: no setting {name!r}; there are {', '.join(_FIELDS)}"
                )
            if _FIELDS[name] in values:
                raise InputError(f"sparse {text!r}: {name} is given twice")
            if not number.isdecimal():
                raise InputError(f"sparse {text!r}: {name} needs a whole number: {_EXAMPLE}")
            values[_FIELDS[name]] = int(number)
        if "budget" not in values:
            raise InputError(f"sparse {text!r}: budget is missing: {_EXAMPLE}")
        return SparseConfig(**values)

    def __str__(self) -> str:
        """Return what `parse` reads, defaults left out."""
        default = SparseConfig(self.budget)
        shown = {
            short: getattr(self, name)
            for short, name in _FIELDS.items()
            if name == "budget" or getattr(self, name) != getattr(default, name)
        }
        return ",".join(f"{name}={value}" for name, value in shown.items())
