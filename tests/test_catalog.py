"""Names, and verifiers with options."""

from typing import Any

import pytest

from tts.errors import InputError
from tts.parts import catalog
from tts.parts.build import load_verifier


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prm", ("prm", {})),
        ("prm()", ("prm", {})),
        (
            " confidence(measure=tail, tokens=128) ",
            ("confidence", {"measure": "tail", "tokens": 128}),
        ),
        ("execution(unsafe=True, seconds=0.5)", ("execution", {"unsafe": True, "seconds": 0.5})),
        ("calibrated(file='a b.json')", ("calibrated", {"file": "a b.json"})),
        (
            "ensemble(verifiers=[rule, prm(reduction='last')], weights=[1, 2.5])",
            ("ensemble", {"verifiers": ["rule", "prm(reduction='last')"], "weights": [1, 2.5]}),
        ),
        ("package.module(k=-1)", ("package.module", {"k": -1})),
    ],
)
def test_verifiers_with_options(text: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert catalog.parse_verifier(text) == expected


@pytest.mark.parametrize(
    "text", ["", "prm(", "prm(last)", "prm(**x)", "prm(k=1 + x)", "prm(k=lambda: 1)", "a b"]
)
def test_what_is_no_verifier_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write NAME or NAME"):
        catalog.parse_verifier(text)


def test_a_verifier_is_found_by_its_name_whatever_its_options() -> None:
    module, config = load_verifier("prm(reduction=last)")
    assert (module, config.reduction) == (catalog.load("verifier", "prm"), "last")
    with pytest.raises(InputError, match="unknown verifier 'prn'; did you mean 'prm'"):
        load_verifier("prn(reduction=last)")


@pytest.mark.parametrize("kind", ["strategy", "operator", "verifier", "benchmark"])
def test_every_module_says_what_it_is_in_one_line(kind: str) -> None:
    for name in catalog.names(kind):
        assert len(catalog.summary(catalog.load(kind, name))) > 20
