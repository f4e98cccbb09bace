"""The folder is the registry: a part's name is that of its module.

A part is one module with `Config`, the class of its parameters, and `build`. To add a strategy,
write `strategies/<name>.py`; nothing else changes. Another package offers parts by entry points of
the groups below, under names of its choice; and a module that was loaded on purpose (`load_plugin`)
is named by its dotted path. A text that somebody else may have written, such as a preset, never
makes this process import a module that is neither.
"""

import ast
import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tts.errors import InputError
from tts.parts import plugins

_SHARED = {"base"}  # modules that hold what the others share, not an entry


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of parts.

    Attributes:
        package: Where ours are.
        group: Entry points by which other packages offer theirs.
        holds: What each module must define.
        parameters: The one of `holds` that is the class of its parameters.
    """

    package: str
    group: str
    holds: tuple[str, ...] = ("Config", "build")
    parameters: str = "Config"


KINDS = {
    "operator": Kind("tts.operators", "tts.operators", (), ""),
    "strategy": Kind("tts.strategies", "tts.strategies"),
    "policy": Kind("tts.strategies", "tts.strategies", ("Policy",), "Policy"),
    "verifier": Kind("tts.verifiers", "tts.verifiers"),
    "benchmark": Kind("tts.evals.benchmarks", "tts.benchmarks"),
    "memory": Kind("tts.search.memories", "tts.memories"),
    "tool": Kind("tts.tools", "tts.tools"),
}


def names(kind: str) -> tuple[str, ...]:
    """Return the names of our own parts of a kind (a key of `KINDS`)."""
    found = _modules(KINDS[kind].package)
    # Not every strategy is a search, and so has a policy.
    return tuple(n for n in found if _holds(kind, n)) if kind == "policy" else found


@cache
def _modules(package: str) -> tuple[str, ...]:
    path = importlib.import_module(package).__path__
    found = (module.name for module in pkgutil.iter_modules(path) if not module.ispkg)
    return tuple(sorted(name for name in found if name[0] != "_" and name not in _SHARED))


def _holds(kind: str, name: str) -> bool:
    module = importlib.import_module(f"{KINDS[kind].package}.{name}")
    return all(hasattr(module, wanted) for wanted in KINDS[kind].holds)


def sources(kind: str) -> dict[str, str]:
    """Return where each part of a kind comes from: a folder, or a distribution that offers it."""
    package = KINDS[kind].package.removeprefix("tts.")
    own = dict.fromkeys(names(kind), package.replace(".", "/"))
    return {**plugins.offered(KINDS[kind].group), **own}


def load(kind: str, name: str) -> ModuleType:
    """Import a part: ours, one that another package offers, or a plug-in by its dotted path.

    Raises:
        InputError: There is none of that name, it cannot be imported, or it is no such part.
    """
    known = KINDS[kind]
    if name in _modules(known.package):
        module = importlib.import_module(f"{known.package}.{name}")
    elif (offered := plugins.load_offered(known.group, name)) is not None:
        module = offered
    elif "." in name or plugins.is_loaded(name):
        module = plugins.named(kind, name)
    else:
        raise InputError(unknown(kind, name, sources(kind)))
    if lacking := [wanted for wanted in known.holds if not hasattr(module, wanted)]:
        raise InputError(
            f"{name!r} is no {kind}: the module {module.__name__} lacks "
            f"{' and '.join(map(repr, lacking))}"
        )
    return module


def name_of(kind: str, module: str) -> str:
    """Return the name by which `load` finds a module."""
    package, _, own = module.rpartition(".")
    if package == KINDS[kind].package:
        return own
    return plugins.offered_as(KINDS[kind].group, module) or module


def parse_verifier(text: str) -> tuple[str, dict[str, Any]]:
    """Split "confidence(measure=tail, tokens=128)" into its name and its options.

    Values are written as in Python; a bare word is a string, and so is another verifier with its
    options: "ensemble(verifiers=[rule, prm(reduction=last)])".

    Raises:
        InputError: The text is neither a name nor a name with options.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        options = node.keywords if isinstance(node, ast.Call) else []
        if isinstance(node, ast.Call) and (node.args or not all(o.arg for o in options)):
            raise ValueError("options need names")
        name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
        return name, {str(option.arg): _option(option.value) for option in options}
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"cannot read the verifier {text!r}: write NAME or NAME(option=value, ...)"
        ) from error


def _option(node: ast.expr) -> Any:
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        return ast.unparse(node)
    if isinstance(node, ast.List | ast.Tuple):
        return [_option(element) for element in node.elts]
    return ast.literal_eval(node)


def summary(module: ModuleType) -> str:
    """Return the first line of a module's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def papers(module: ModuleType) -> list[str]:
    """Return the arXiv ids in a module's docstring."""
    return list(dict.fromkeys(re.findall(r"arXiv:(\d{4}\.\d{5})", module.__doc__ or "")))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not among the known ones."""
    known = sorted(known)
    if not known:
        return f"unknown {kind} {name!r}; there are none"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def preset_files() -> dict[str, Path]:
    """Return the presets that ship with the package, by name."""
    folder = Path(__file__).parents[1] / "strategies" / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
