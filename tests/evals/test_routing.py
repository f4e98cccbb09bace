"""From calibration runs to a router, and with it to answers; recorded samples stand for models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tts
from tests.support.solving import solve
from tts.allocation.router import Tier, fit_router
from tts.cli.main import run
from tts.engine.scripted import Line, ScriptedEngine
from tts.errors import InputError
from tts.evals.routing import Tried, train_router, tried_by
from tts.operators.route_by import Way, route_by
from tts.operators.sample import sample
from tts.operators.vote import vote

LONG = " and then do it all over again" * 12


def pool(path: Path, model: str, *, solves_long: bool, tokens: int, first: int = 0) -> Path:
    """Twenty short problems that every model solves, and twenty long ones."""
    lines = []
    for number in range(first, first + 40):
        is_right = number % 2 == 0 or solves_long
        samples = [{"answer": "4" if is_right else "5", "correct": is_right, "tokens": tokens}]
        statement = f"Add {number} and 1{LONG if number % 2 else ''}."
        line = {"problem_id": f"p{number}", "problem": statement, "model": model, "gold": "4"}
        lines.append(json.dumps({**line, "samples": samples}))
    path.write_text("\n".join(lines))
    return path


def test_a_router_is_fitted_to_runs_and_asks_their_engines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = pool(tmp_path / "small.jsonl", "small", solves_long=False, tokens=10)
    large = pool(tmp_path / "large.jsonl", "large", solves_long=True, tokens=100)
    runs = {
        name: tts.evaluate("pool", ["single"], model=f"replay:{path}", out=tmp_path / name)[0].out
        for name, path in (("small", small), ("large", large))
    }
    out = tmp_path / "router.json"
    words = ["train-router", f"small={runs['small']}", runs["large"], "-o", str(out)]
    assert run([*words, "--unit", "tokens", "--json"]) == 0
    ways = json.loads(capsys.readouterr().out)["ways"]
    figures = {way["name"]: way["figures"] for way in ways}
    assert figures["always small single"]["accuracy"] == 0.5
    assert figures["always own single"]["cost"] == 100
    assert figures["oracle"] == pytest.approx(
        # Half for 10 and half for 100; (1 / .5 - 1) / (55 / 10 - 1).
        {"accuracy": 1, "cost": 55, "best_picks": 1, "tep": 1 / 4.5, "regret": 0, "excess": 1}
    )
    # On runs kept for testing: the same tiers on other problems, which words tell apart alike.
    known = ["--test", runs["large"], "--test", f"small={runs['small']}"]
    assert run([*words, *known, "--unit", "tokens"]) == 2
    assert "40 of the 40 problems of --test are among" in " ".join(capsys.readouterr().err.split())
    kept = {
        name: tts.evaluate("pool", ["single"], model=f"replay:{path}", out=tmp_path / name)[0].out
        for name, path in (
            ("small", pool(tmp_path / "s.jsonl", "small", solves_long=False, tokens=10, first=40)),
            ("large", pool(tmp_path / "l.jsonl", "large", solves_long=True, tokens=100, first=40)),
        )
    }
    tests = ["--test", kept["large"], "--test", f"small={kept['small']}"]
    assert run([*words, *tests, "--unit", "tokens", "--json"]) == 0
    tested = json.loads(capsys.readouterr().out)
    assert {way["name"]: way["figures"] for way in tested["ways"]}["oracle"] == figures["oracle"]
    # Against always small half is gained, against always large nothing lost; a mixture of both that
    # costs 55 tokens would be right in three quarters.
    assert [over[0] for over in tested["over_tiers"]] == [0.5, 0.0]
    assert tested["gain"][0] == pytest.approx(0.25)
    assert 0.2 < tested["gain"][1] < tested["gain"][2] <= 0.25 + 1e-9
    (summary,) = tts.evaluate(
        "pool",
        ["route_by"],
        model=f"replay:{large}",
        engines={"small": f"replay:{small}"},
        overrides=[f"router={out}"],
        out=tmp_path / "routed",
    )
    assert (summary.accuracy, summary.cost.tokens) == (1.0, 55)
    # A router is refused on another model than it was measured with.
    words = ["eval", "pool", "--model", f"replay:{small}", "--preset", "route_by"]
    words += ["--set", f"router={out}", "--out", str(tmp_path), "--engine-for"]
    assert run([*words, f"small=replay:{small}"]) == 2
    assert "large" in capsys.readouterr().err


def test_bad_input_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = str(pool(tmp_path / "one.jsonl", "m", solves_long=True, tokens=1))
    tried = ["--pool", one, "--statements", one]
    for words, why in (
        ([], "two runs or more, one for each tier"),
        (["--kind", "tree"], "write knn or logistic"),
        (["--pool", one], "--pool needs --statements FILE"),
        (["--pool", one, "--unit", "usd"], "named by --cost"),
        ([*tried, "--cost", "m=1"], "--cost names two models or more"),
        ([*tried, "--cost", "m=1", "--cost", "n=2"], "no JSON Lines with id and"),
        (["--embedder", "bge"], "two runs or more"),
        ([*tried, "--test", "r"], "--test takes runs"),
        (["a", "b", "-o", str(tmp_path)], "cannot be written: Is a directory"),
    ):
        assert run(["train-router", "-o", str(tmp_path / "r.json"), *words]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert why in said, said
    assert not (tmp_path / "r.json").exists()


def test_a_router_is_measured_on_problems_kept_for_testing() -> None:
    """Words tell which of two tiers solves a problem, on other problems too."""

    def tried(tiers: tuple[Tier, ...], first: int, places: list[int]) -> Tried:
        statements = [f"Add {i}{LONG if i % 2 else ''}." for i in range(first, first + 40)]
        right = np.array([[float(i % 2 == 0), 1.0] for i in range(40)])[:, places]
        costs = np.tile([1.0, 10.0], (40, 1))[:, places]
        return Tried(tiers, tuple(statements), right, costs, np.zeros((40, 2)))

    small, large = Tier("small", engine="small", cost=1.0), Tier("large", cost=10.0)
    known = tried((small, large), 10, [0, 1])
    other = tried((large, small), 50, [1, 0])  # there in another order
    found = train_router(known, kind="logistic", unit="tokens", test=other)
    ways = {way.name: way.figures for way in found.ways}
    assert ways[f"router at price {found.router.price:g}"] == ways["oracle"]
    assert (ways["oracle"].accuracy, ways["oracle"].cost) == (1.0, 5.5)
    assert [over.mean for over in found.over_tiers] == [0.5, 0.0]
    third = tried((Tier("third", engine="third"), small), 50, [1, 0])
    with pytest.raises(InputError, match=r"runs of --test are of other tiers \(third, small\)"):
        train_router(known, kind="logistic", unit="tokens", test=third)


def test_results_of_models_with_costs_by_hand() -> None:
    results = {
        name: {f"p{i}": float(i % n == 0) for i in range(30)} for name, n in (("a", 1), ("b", 3))
    }
    statements = {f"p{i}": f"Add {i}." for i in range(30)}
    tried = tried_by(results, {"a": 8, "b": 2}, statements)
    assert [tier.name for tier in tried.tiers] == ["b", "a"]  # the cheapest first
    assert tried.right.mean(axis=0).tolist() == pytest.approx([1 / 3, 1.0])
    found = train_router(tried, kind="logistic", unit="cost", price=0.1)
    assert found.router.price == 0.1 and found.ways[-1].name == "oracle"
    assert found.gain is not None and found.seconds < 1
    with pytest.raises(InputError, match="there is no such model; there are a, b"):
        tried_by(results, {"z": 1, "a": 1}, statements)
    with pytest.raises(InputError, match="no problem has results of all models"):
        tried_by(results, {"a": 1, "b": 1}, {})


def test_a_cascade_stands_beside_the_router_where_tiers_vote() -> None:
    """Of twenty problems the small tier agrees on 12, 10 of them right; the large solves all."""
    agrees, right = [1.0] * 12 + [0.5] * 8, [1.0] * 10 + [0.0] * 10
    tried = Tried(
        (Tier("small", cost=1.0), Tier("large", cost=10.0)),
        tuple(f"Add {i}." for i in range(20)),
        np.array([right, [1.0] * 20]).T,
        np.array([[1.0] * 20, [10.0] * 20]).T,
        np.array([agrees, [1.0] * 20]).T,
    )
    found = {way.name: way.figures for way in train_router(tried, kind="knn", unit="flops").ways}
    cascade = found["cascade by agreement"]
    # Eight go on to the large tier and have paid the small one too.
    assert cascade.accuracy == pytest.approx(0.9)
    assert cascade.cost == pytest.approx(5.0)
    silent = train_router(tried._replace(support=np.zeros((20, 2))), kind="knn", unit="flops")
    assert [way.name for way in silent.ways if "cascade" in way.name] == []


class Always:
    """A chooser of one's own."""

    embedder = ""

    def choose(self, statement: str, embedding: Any = ()) -> int:
        return int("hard" in statement)


def test_any_chooser_will_do() -> None:
    tiers = (Way(name="one", body=sample(n=1)), Way(name="three", body=sample(n=3)))
    pipeline = route_by(router=Always(), tiers=tiers)
    engine = ScriptedEngine(lambda ask: Line(r"\boxed{4}"))
    result = solve(engine, pipeline, problem=tts.Problem("p", "a hard one"))
    assert len(result.samples) == 3 and result.facts.stopped_by[0].rule == "routed to three"
    assert len(solve(engine, pipeline, problem=tts.Problem("p", "an easy one")).samples) == 1
    with pytest.raises(tts.TTSError, match="must begin with a source"):
        route_by(router=Always(), tiers=(Way(name="one", body=vote()),))


def test_a_problem_that_the_router_knows_is_said() -> None:
    router = fit_router(
        "logistic",
        (Tier("one"), Tier("two", cost=2.0)),
        [f"Add {i}." for i in range(10)],
        np.eye(2)[[0, 1] * 5],
        unit="tokens",
        price=0.1,
    )
    ways = (Way(name="one", body=sample(n=1)), Way(name="two", body=sample(n=2)))
    pipeline = route_by(router=router, tiers=ways)
    engine = ScriptedEngine(lambda ask: Line(r"\boxed{4}"))
    result = solve(engine, pipeline, problem=tts.Problem("p", "Add 3."))
    assert "fitted to this problem" in result.facts.warnings[0]
    assert not solve(engine, pipeline, problem=tts.Problem("p", "Add 30.")).facts.warnings
    with pytest.raises(tts.TTSError, match="the router knows other tiers: one, two"):
        route_by(router=router, tiers=ways[:1])
