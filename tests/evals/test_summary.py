"""A run's figures as a value: written, read, refused, shown, set against costs."""

import json
from dataclasses import replace

import pytest

from tests.evals.test_report import record, summary
from tts.errors import InputError, StoreError
from tts.evals.units import amount, choose_unit, mean_cost, parse_unit
from tts.types import Usage
from tts.types.figures import UNITS, Cost, Summary


def test_what_is_written_is_read() -> None:
    figures = summary(record("p", "rraa"), record("q", "rbbb"), engines={"draft": "f"})
    values = json.loads(json.dumps(figures.to_json()))
    assert Summary.from_json(values, "summary.json") == figures
    assert values["schema"] == 2 and values["pass_at_k"]["1"] == figures.pass_at_k[1]
    assert (figures.engines, values["engines"]) == (("draft",), ["draft"])


@pytest.mark.parametrize("schema", [{}, {"schema": 1}, {"schema": 3}])
def test_another_version_is_refused_in_one_sentence(schema: dict[str, int]) -> None:
    values = {**summary(record("p", "r")).to_json(), **schema}
    if not schema:
        del values["schema"]
    with pytest.raises(StoreError, match=r"x: a summary of schema [13], this tts reads 2; run it"):
        Summary.from_json(values, "x")


def test_a_notebook_shows_a_short_card() -> None:
    figures = summary(record("p", "rr"), record("q", "ab"), preset="<b>", problems=3)
    card = figures._repr_html_()
    assert "&lt;b&gt;" in card and "<b>" not in card
    assert "50.0% [9.5%, 90.5%] of 2 problems" in card and "2 of 3" in card
    assert len(card) < 1_500


def test_a_right_answer_costs_the_mean_over_the_accuracy() -> None:
    figures = summary(record("p", "rr"), record("q", "ab"))
    assert (figures.cost.tokens, figures.cost_of_pass.tokens) == (20, 40)
    assert figures.cost.usd is None is figures.cost_of_pass.usd
    assert summary(record("q", "ab")).cost_of_pass == Cost()


def test_recorded_samples_have_no_seconds() -> None:
    assert summary(record("p", "r")).cost.seconds == 1.0
    replayed = summary(record("p", "r"), engine="replay")
    assert replayed.is_replay and replayed.cost.seconds is None and replayed.seconds == 2.0


def test_a_cost_that_is_not_known_of_all_is_not_known() -> None:
    found = mean_cost([Cost(tokens=1, calls=2, usd=3), Cost(tokens=2, calls=4)])
    assert (found.tokens, found.calls, found.usd) == (1.5, 3, None)
    assert mean_cost([]) == Cost()


def test_eflops_price_a_byte_as_many_operations() -> None:
    usage = Usage(generated_tokens=1, flops=100.0, kv_bytes=4)
    assert summary(replace(record("p", "r"), usage=usage)).cost.eflops == 100 + 562.5 * 4
    bare = replace(usage, kv_bytes=None)
    assert summary(replace(record("p", "r"), usage=bare)).cost.eflops is None


@pytest.mark.parametrize(
    ("costs", "models_differ", "unit"),
    [
        ([Cost(tokens=1, calls=1, flops=1, eflops=1)], False, "tokens"),
        ([Cost(tokens=1, calls=1, flops=1, eflops=1)], True, "eflops"),
        (
            [Cost(tokens=1, calls=1, flops=1), Cost(tokens=1, calls=1, flops=1, eflops=1)],
            True,
            "flops",
        ),
        ([Cost(tokens=1, calls=1), Cost(calls=1)], True, "calls"),
        ([Cost()], False, "calls"),
    ],
)
def test_the_unit_that_is_chosen(costs: list[Cost], models_differ: bool, unit: str) -> None:
    assert choose_unit(costs, models_differ=models_differ) == unit


def test_units_are_read_by_name() -> None:
    assert [parse_unit(name) for name in UNITS] == list(UNITS)
    with pytest.raises(InputError, match="no unit 'watts' here; there are tokens, calls, seconds"):
        parse_unit("watts")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "?"), (0.01234, "0.01234"), (12.345, "12.35"), (12_345, "12,345"), (1.5e12, "1.5e+12")],
)
def test_amounts_are_short(value: float | None, shown: str) -> None:
    assert amount(value) == shown
