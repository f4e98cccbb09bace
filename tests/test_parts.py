"""The catalogue: every part is complete, has a factory, and says what its parameters mean."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

import tts.operators
import tts.strategies
import tts.verifiers
from tts.allocation.conformal import Conformal
from tts.allocation.evidence import AnswerModel
from tts.allocation.pricing import PricedRule
from tts.allocation.router import Tier, fit_router
from tts.errors import InputError, ParameterError
from tts.operators import (
    Condition,
    abandon,
    allocate,
    choose,
    concepts,
    dag,
    delegate,
    draft_chunks,
    escalate,
    evolve,
    examples,
    execute,
    expand,
    follow,
    force,
    fuse,
    lockstep,
    loop,
    map_parts,
    parallel_blocks,
    plan,
    prune,
    refine,
    retrieve,
    route,
    route_by,
    sample,
    score,
    screen,
    select,
    shared_cache,
    shared_work,
    solve_steps,
    spawn,
    think,
    tree_search,
    trim,
    vote,
)
from tts.operators.escalate import Choice
from tts.operators.route_by import Way
from tts.parts import catalog
from tts.parts.build import build_part, load_verifier, parameters_of
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.runtime.memory import MemoryFile
from tts.search.memories import model
from tts.strategies.rebase import Policy
from tts.tools import calculator, solve
from tts.types import Kept

ENTRIES = [(kind, name) for kind in catalog.KINDS for name in catalog.names(kind)]
SURE = Condition(measure="support", at_least=0.9)
DRAWN = sample(n=3) >> vote()
SCORED = Path(mkdtemp()) / "scores.json"
Conformal(((1.0, 2.0),), draft="small", target="m", mean_turns=3.0).save(SCORED)
LEARNT = Path(mkdtemp()) / "memory.jsonl"
MemoryFile(LEARNT).add(Kept(0, 0, "solve", "p", {"statement": "Add 1."}))
ROUTER = fit_router(
    "knn",
    (Tier("a"), Tier("b", cost=2.0)),
    [f"Add {i}." for i in range(10)],
    np.eye(2)[[0, 1] * 5],
    unit="tokens",
    price=0.1,
)
WAYS = (Way(name="a", body=sample(n=2)), Way(name="b", body=DRAWN))
# By operator: pipelines of it that give each of its parameters another value than its default.
FULL: Mapping[str, tuple[Pipeline, ...]] = {
    "abandon": (
        abandon(
            n=4,
            verifier="prm",
            loss=0.05,
            bar=0.1,
            separator="\n",
            step_tokens=99,
            ends_at_answer=False,
        ),
    ),
    "allocate": (
        allocate(
            n=9,
            probe=3,
            batch=2,
            price=0.01,
            model="m",
            share=300.0,
            unit="calls",
            costs=((2.0, 0.1), (8.0, 0.01)),
            right=0.7,
            wrong=0.9,
            spread=2.0,
            discount=0.3,
            answers=0.8,
        ),
    ),
    "choose": (choose(window=4, votes=3, merge=True),),
    "concepts": (
        concepts(
            body=DRAWN,
            hints=2,
            max_hint_tokens=64,
            author="big",
            learn="label",
            least_support=0.5,
            batch=4,
            start=str(LEARNT),
        ),
    ),
    "dag": (
        dag(
            tools=(
                solve.build(solve.Config(called="ask", strategy="cascade", engine="big")),
                calculator.build(calculator.Config(seconds=2.0, parallel=3)),
            ),
            max_tasks=9,
            max_replans=3,
            reviews=2,
            temperature=0.5,
            answer_tokens=99,
            observation_chars=500,
            summarise_at=700,
        ),
    ),
    "delegate": (delegate(body=DRAWN, engine="big"),),
    "draft_chunks": (
        draft_chunks(
            n=2,
            draft="small",
            calibration=str(SCORED),
            alpha=0.1,
            takeovers=2.0,
            turns=3,
            chunk_tokens=9,
            on_reject="replace",
            draft_parallel=2,
            target_parallel=1,
        ),
    ),
    "escalate": (
        escalate(
            sizes=(1, 2),
            rules=(PricedRule(2.0, 0.1, ((0.5,) * 6,)),),
            share=2.0,
            unit="calls",
            leader="scores",
            answer=(0.5,) * len(AnswerModel().weights),
            verifier="prm",
            model="m",
            edges=(0.5,),
            choices=(Choice(name="drawn", body=DRAWN, low=(0.3, 0.9), cost=(4.0, 2.0)),),
        ),
    ),
    "expand": (expand(n=2, start=True, separator="Step {}", step_tokens=9, ends_at_answer=False),),
    "follow": (follow(n=2),),
    "force": (force(n=2, mode="no_thinking", words="Done.", lead="So", answer_tokens=32),),
    "fuse": (
        fuse(
            into="choice",
            n=2,
            show=3,
            pick="best",
            by="prm",
            shown="whole",
            engine="big",
            critic="prm",
            max_shown_tokens=64,
            max_tokens=32,
            quorum=2,
        ),
    ),
    "lockstep": (lockstep(n=3, finishers=2, ends="thought", slice_tokens=64, mode="thinking"),),
    "loop": (loop(body=refine(), rounds=2, until=SURE, until_single=True, check_first=True),),
    "map_parts": (map_parts(body=DRAWN, limit=3, context="none", reduce="answer"),),
    "parallel_blocks": (parallel_blocks(n=2, max_depth=1, max_paths=4, path_tokens=64),),
    "plan": (plan(ask="decompose", n=2),),
    "prune": (prune(by="prm", at_least=0.5, enough=2), prune(by="prm", keep=2)),
    "evolve": (evolve(verifier="prm", rounds=2, n=4, keep=2, patience=1),),
    "examples": (
        examples(
            body=DRAWN,
            examples=2,
            least=0.1,
            max_example_tokens=64,
            large="big",
            large_price=0.1,
            curiosity=1.0,
            learn="label",
            least_support=0.5,
            batch=4,
            start=str(LEARNT),
        ),
    ),
    "execute": (execute(verifier="execution(sockets=true)"),),
    "refine": (
        refine(
            mode="critique",
            rounds=2,
            accept=False,
            emit="all",
            engine="big",
            checker="small",
        ),
        refine(memory=3),
        refine(mode="report", verifier="execution"),
        refine(mode="verdict", verifier="rule", at_least=0.9),
    ),
    "retrieve": (retrieve(file=__file__, passages=2, least=0.5),),
    "route": (route(when=SURE, then=refine(), otherwise=DRAWN),),
    "route_by": (route_by(router=ROUTER, tiers=WAYS, model="m"),),
    "sample": (sample(n=4, mode="thinking", batch=2, greedy_first=True),),
    "score": (score(verifier="prm(reduction=last)"),),
    "screen": (screen(n=2, keep=0.5, window=8, chunk=4),),
    "select": (select(by="prm", keep=2, among="sample", quorum=2),),
    "shared_cache": (
        shared_cache(n=2, workers=3, check_every=64, step_ends="paragraph", answer_tokens=9),
    ),
    "shared_work": (shared_work(n=2, workers=3, lag=8, check_every=64, answer_tokens=9),),
    "solve_steps": (
        solve_steps(
            n=2,
            outlines=3,
            threshold=0.2,
            context="plan",
            distil=True,
            easy="small",
            hard="big",
            easy_temperature=0.1,
            easy_top_p=0.5,
        ),
    ),
    "spawn": (spawn(n=2, wire="search", calls=3, max_children=4, child_tokens=99),),
    "think": (
        think(
            n=2,
            max_thinking=64,
            waits=1,
            wait_words="Hm",
            answer_tokens=32,
            lead="So",
            slice_tokens=16,
            probe="Now",
            probe_tokens=8,
            agree=2,
            hesitation=("hm",),
            verifier="head",
            bar=0.5,
            max_repeats=4,
        ),
    ),
    "trim": (
        trim(
            n=2,
            max_thinking=64,
            answer_tokens=32,
            lead="So",
            verifier="small",
            interval=16,
            reflection=("Hm",),
            shortest=9,
            sentences=8,
            unchanged=3,
            share=0.9,
            parts=7,
            max_repeats=4,
            settled="Done.",
            unsettled="Enough.",
        ),
    ),
    "tree_search": (
        tree_search(
            policy=Policy(width=8),
            lookahead=1,
            verifier="orm",
            reduction="min",
            max_depth=9,
            separator="\n",
            step_tokens=99,
            ends_at_answer=False,
            memory=model.build(model.Config(engine="wise")),
            memory_tokens=9,
            path_memory_tokens=19,
            association_weight=0.5,
        ),
    ),
    "vote": (
        vote(weights="prm", borda=0.5, keep=0.5, quorum=2),
        vote(
            stop="settled",
            stop_at=0.9,
            certainty="dirichlet",
            min_votes=3,
            window=4,
            first=9,
            order="index",
        ),
    ),
}


def untyped(factory: Callable[..., Pipeline]) -> Callable[..., Pipeline]:
    """Return a factory as those see it who check no types."""
    return factory


@pytest.mark.parametrize("name", catalog.names("operator"))
def test_every_operator_has_a_factory_that_takes_every_field(name: str) -> None:
    factory = getattr(tts.operators, name)
    assert factory.__name__ == name
    fields = set(parameters_of("operator", name).model_fields)
    assert set(inspect.signature(factory).parameters) == fields
    given = {key for pipeline in FULL[name] for key in pipeline.to_mapping()[name]}
    assert given - {"operator"} == fields, "FULL gives every parameter a value of its own"


@pytest.mark.parametrize("name", catalog.names("operator"))
def test_what_python_builds_is_written_and_read_as_yaml(name: str, tmp_path: Path) -> None:
    for pipeline in FULL[name]:
        operator = dict(pipeline)[name].operator
        source = Pipeline([])
        if operator.spec.accepts is not None:  # it needs something to read
            has_notes = operator.spec.accepts == "partial"
            source = plan(ask="select") if has_notes else sample(n=8)
            for text in sorted({*operator.spec.scores}):
                source = source >> score(verifier=text)
        whole = source >> pipeline
        preset = tmp_path / "mine.yaml"
        preset.write_text(yaml.safe_dump({"pipeline": whole.to_mapping()}))
        assert load_preset(str(preset)).pipeline.to_mapping() == whole.to_mapping()


@pytest.mark.parametrize("name", catalog.names("strategy"))
def test_every_strategy_has_a_factory(name: str) -> None:
    factory = getattr(tts.strategies, name)
    assert factory.__name__ == name
    fields = parameters_of("strategy", name).model_fields
    assert set(inspect.signature(factory).parameters) == set(fields)
    assert factory().to_mapping() == build_part("strategy", name, {}).to_mapping()


@pytest.mark.parametrize("name", catalog.names("verifier"))
def test_every_verifier_has_a_factory_that_names_it(name: str) -> None:
    factory = getattr(tts.verifiers, name)
    assert factory() == name
    assert set(inspect.signature(factory).parameters) == set(
        parameters_of("verifier", name).model_fields
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("prm(reduction=last)", {"reduction": "last"}),
        ("judge(k=2, temperature=0.5)", {"k": 2, "temperature": 0.5}),
        ("calibrated(file='a b.json')", {"file": "a b.json"}),
        (
            "ensemble(verifiers=[rule, prm(reduction=last)], weights=[1.0, 2.5])",
            {"verifiers": ["rule", tts.verifiers.prm(reduction="last")], "weights": (1, 2.5)},
        ),
        ("pairwise(mode=mbr, candidates='12')", {"mode": "mbr", "candidates": "12"}),
    ],
)
def test_a_verifiers_name_is_read_as_it_was_written(text: str, options: dict[str, Any]) -> None:
    name = text.partition("(")[0]
    assert getattr(tts.verifiers, name)(**options) == text
    _, config = load_verifier(text)
    assert config == parameters_of("verifier", name).model_validate(options)


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_parameter_says_what_it_means_in_a_whole_phrase(kind: str, name: str) -> None:
    for key, field in parameters_of(kind, name).model_fields.items():
        meaning = field.description or ""
        assert len(meaning.split()) >= 3, f"{kind} {name}: {key}: {meaning!r}"
        fragments = ("of", "that", "those", "whose", "for", "by")
        assert meaning.split()[0].lower() not in fragments, f"{kind} {name}: {key}: {meaning!r}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: untyped(vote)(stp="settled"), "vote has no 'stp'; did you mean 'stop'?"),
        (lambda: vote(quorum=0), "vote: quorum = 0: input should be greater than or equal to 1"),
        (lambda: untyped(vote)("prm"), "vote takes its parameters by name: vote(weights=...)"),
        (lambda: vote(borda=1), "vote: borda and keep rank by a score; name it in weights"),
        (lambda: untyped(select)(), "select needs 'by': name of the score that decides"),
        (
            lambda: untyped(loop)(body=refine(), round=2),
            "loop has no 'round'; did you mean 'rounds'?",
        ),
        (
            lambda: tts.strategies.cascade(m=4),
            "strategy 'cascade' has no 'm'; it has n, at_least, draft, then, parameters",
        ),
        (
            lambda: tts.strategies.cascade(then="best_of_n", parameters={"m": 4}),
            "strategy 'best_of_n' has no 'm'; it has n, verifier, quorum, mode",
        ),
        (lambda: tts.verifiers.rule(k=3), "verifier 'rule' has no 'k'; it takes none"),
    ],
)
def test_what_is_wrong_in_python_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        call()
    assert str(caught.value) == message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_key_within_a_key_is_named_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "pipeline:\n  a: {operator: sample}\n  b:\n    operator: loop\n    from: a\n"
        "    body: {c: {operator: refine}}\n    until:\n      measure: votes\n      at_last: 3\n"
    )
    with pytest.raises(InputError) as caught:
        load_preset(str(path))
    assert str(caught.value) == (
        f"{path}:9: operator 'loop' has no 'until.at_last'; did you mean 'until.at_least'?"
    )


def test_two_calibrations_in_one_node_are_refused() -> None:
    first, second = allocate(model="a") >> vote(), allocate(model="b") >> vote()
    level = Condition(measure="level", at_least=3)
    with pytest.raises(InputError, match="calibrated for different models, a and b"):
        route(when=level, then=first, otherwise=second).check()
    same = route(when=level, then=first, otherwise=allocate(model="a") >> vote())
    assert dict(same)["route"].operator.spec.model == "a"
    with pytest.raises(InputError, match="calibrated for different models, a and b"):
        escalate(
            sizes=(1,),
            rules=(PricedRule(1.0, 0.1, ()),),
            model="a",
            choices=(Choice(name="second", body=second, low=(1.0,), cost=(1.0,)),),
        ).check()


if TYPE_CHECKING:  # what type checkers see: each line has one mistake
    vote(quorum="many")  # type: ignore[arg-type]
    vote(stp=1)  # type: ignore[call-arg]
    select()  # type: ignore[call-arg]
    sample(8)  # type: ignore[call-arg]
