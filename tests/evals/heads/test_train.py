"""Training of heads: on states of the test's own, in which the answer is planted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts.errors import InputError
from tts.evals.heads.bars import learn_bars
from tts.evals.heads.examples import Examples, Solution, agreed, check_size, to_examples
from tts.evals.heads.fit import Recipe, fit, place_weights
from tts.evals.heads.measure import measure, progress
from tts.evals.heads.train import cross_validate, later, linear, networks, split, train
from tts.heads.head import Head, load_head, sigmoid
from tts.heads.patience import is_hopeless
from tts.score_quality import auroc
from tts.types import States, StateSpec

LAYERS = (1, 2)


def solution(problem: int, answer_class: int, is_right: bool, states: States) -> Solution:
    """Return a solution that is learnt from as it was graded."""
    return Solution(problem, answer_class, is_right, is_right, states)


def planted(problems: int = 24, samples: int = 8, seed: int = 0) -> list[Solution]:
    """Return solutions of two places whose second layer's third number says how they end."""
    rng = np.random.default_rng(seed)
    solutions = []
    for problem in range(problems):
        rate = rng.uniform(0.2, 0.8)
        for _ in range(samples):
            is_right = bool(rng.random() < rate)
            values = rng.normal(size=(2, len(LAYERS), 4))
            values[:, 1, 2] += 2 * (1 if is_right else -1) * np.array([0.5, 1.0])
            states = States(LAYERS, (5, 11), values.astype(np.float16).tobytes())
            wrong = int(rng.integers(1, 4))
            solutions.append(solution(problem, 0 if is_right else wrong, is_right, states))
    return solutions


def examples(problems: int = 24) -> Examples:
    return to_examples(planted(problems))


@pytest.mark.slow
def test_what_is_planted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # A few steps do for what one line tells; the steps of networks take nearly all of the time.
    for name in ("_EPOCHS", "_LEAST_STEPS"):
        monkeypatch.setattr(f"tts.evals.heads.fit.{name}", 5)
    trained = train(examples(problems=60), weights="w", model="m", data={"problems": 60}, seed=1)
    assert 2 in trained.recipe.layers
    held = trained.held_out
    assert held.problems == 15
    # The planted number alone: two normals four apart, P(x > y) = Phi(4 / sqrt(2)) = 0.998.
    assert held.auroc_within > 0.95
    assert held.weighted_vote.accuracy > held.vote
    assert held.best_of_n.accuracy > 0.85
    assert held.calibration_error < 0.12
    facts = trained.head.facts
    assert facts["data"] == {"problems": 60}
    assert [bar["loss"] for bar in facts["bars"]] == [0.005, 0.01, 0.02, 0.05, 0.1]


def test_the_same_seed_fits_the_same_head() -> None:
    recipe = Recipe((1, 2), 0.1, hidden=8)
    first, second = (fit(examples(), recipe, seed=3) for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_folds_are_of_problems() -> None:
    # States that name their problem and nothing else cannot help a problem that was not seen.
    rng = np.random.default_rng(0)
    solutions = []
    for problem in range(40):
        name = rng.normal(size=(1, 1, 16)).astype(np.float16).tobytes()
        is_right = problem % 2 == 0
        states = States((1,), (3,), name)
        solutions += [solution(problem, 0, is_right, states) for _ in range(8)]
    given = to_examples(solutions)
    logits = cross_validate(given, Recipe((1,), 1e-3), seed=0)
    assert auroc(logits, given.label) < 0.8
    seen = fit(given, Recipe((1,), 1e-3))
    head = Head("", "", StateSpec((1,)), seen)
    assert auroc(head.logits(given.features((1,)), given.solution), given.label) > 0.95


def test_a_hidden_layer_learns_what_no_line_can() -> None:
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 1.0], size=(800, 2))
    right = values.prod(axis=1) > 0
    solutions = [
        solution(i % 40, 0, bool(ok), States((1,), (3,), v.astype(np.float16).tobytes()))
        for i, (v, ok) in enumerate(zip(values, right, strict=True))
    ]
    given = to_examples(solutions)
    line = cross_validate(given, Recipe((1,), 1e-3), seed=0)
    bent = cross_validate(given, Recipe((1,), 1e-3, hidden=16), seed=0)
    assert auroc(line, right) < 0.6
    assert auroc(bent, right) > 0.85


def test_recipes_are_of_each_layer_and_of_all() -> None:
    assert {recipe.layers for recipe in linear((3, 5))} == {(3,), (5,), (3, 5)}
    assert {recipe.layers for recipe in linear((3,))} == {(3,)}
    best = Recipe((5,), 0.1)
    assert [one.lateness for one in later(best)] == [1, 2]
    tried = networks(replace(best, lateness=2), (3, 5))
    assert [(one.layers, one.attends) for one in tried] == [
        ((5,), False),
        ((5,), True),
        ((3, 5), False),
        ((3, 5), True),
    ]
    assert str(tried[3]) == (
        "layer 3 and 5, 64 hidden units with attention, penalty 0.1, "
        "late places count more (power 2)"
    )


def test_attention_remembers_what_a_place_no_longer_shows() -> None:
    # The first of three places says how it ends; the others are noise.
    rng = np.random.default_rng(0)
    solutions = []
    for index in range(480):
        is_right = bool(rng.random() < 0.5)
        values = rng.normal(size=(3, 1, 2))
        values[0, 0] = [3, 0] if is_right else [-3, 0]
        states = States((1,), (5, 11, 17), values.astype(np.float16).tobytes())
        solutions.append(solution(index % 40, 0, is_right, states))
    given = to_examples(solutions)
    learnt, held = (given.of_problems(np.arange(20) + start) for start in (0, 20))
    of_ends = []
    for attends in (False, True):
        head = Head("", "", StateSpec((1,)), fit(learnt, Recipe((1,), 0.1, 16, attends)))
        logits = head.logits(held.features((1,)), held.solution)
        of_ends.append(auroc(logits[held.ends], held.label))
    assert of_ends[0] < 0.6
    assert of_ends[1] > 0.9


def test_attention_in_the_file_is_that_of_the_training(tmp_path: Path) -> None:
    given = examples()
    arrays = fit(given, Recipe((2,), 0.1, 8, attends=True))
    Head("w", "m", StateSpec((2,)), arrays).save(tmp_path)
    head = load_head(tmp_path)
    together = head.logits(given.features((2,)), given.solution)
    first = head.values(planted()[0].states)
    assert sigmoid(together[:2]) == pytest.approx(first, abs=1e-6)


def test_places_share_a_solution_s_weight() -> None:
    places, solution = np.array([1, 3, 7, 4]), np.array([0, 0, 0, 1])
    given = replace(examples(), places=places, solution=solution)
    # Three places of one solution and one of another: 1/3, 1/3, 1/3, 1, over their mean of 1/2.
    assert place_weights(given, 0) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    # After 2, 4 and 8 of 8 tokens: 1/4, 1/2 and 1, squared 1/16, 4/16, 16/16: 1/21, 4/21, 16/21.
    assert place_weights(given, 2) == pytest.approx([2 / 21, 8 / 21, 32 / 21, 2])


def test_a_split_leaves_no_problem_on_both_sides() -> None:
    learnt, held = split(examples(), seed=0)
    assert not set(learnt.problem) & set(held.problem)
    assert len(set(held.problem)) == 6
    assert held.solution.max() == len(held.problem) - 1
    assert (held.states == held.states[np.argsort(held.solution, kind="stable")]).all()


def test_labels_by_agreement() -> None:
    # Answers 1 1 2 and none: the first two agree. Answers 1 2: nobody does.
    problems, classes = [0, 0, 0, 0, 1, 1], [1, 1, 2, None, 1, 2]
    assert agreed(problems, classes) == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("solutions", "fault"),
    [
        ([], "no solution"),
        (planted(5), "5 problems with .* are too few"),
        ([replace(one, label=True) for one in planted()], "192 right and 0 wrong"),
        (
            [
                *planted(),
                solution(0, 1, True, States(LAYERS, (1,), np.full(8, np.nan, "f2").tobytes())),
            ],
            "not finite",
        ),
    ],
)
def test_examples_of_which_nothing_can_be_learnt(solutions: list[Solution], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        to_examples(solutions)


def test_choices_by_hand() -> None:
    nothing = np.zeros((6, 1, 1), np.float16)
    given = Examples(
        nothing,
        np.full(6, 4),
        np.arange(6),
        np.array([0, 0, 0, 1, 1, 1]),
        np.array([0, 1, 1, 0, 1, -1]),
        np.array([True, False, False, True, False, False]),
        np.array([True, False, False, True, False, False]),
        (1,),
    )
    values = np.array([0.9, 0.2, 0.3, 0.4, 0.4, 1.0])
    figures = measure(given, values)
    # Problem 0: two of three vote for class 1, wrong; by value class 0 has .9 against .5.
    # Problem 1: a tie of votes and of values, half right; the best has no answer and is wrong.
    assert figures.vote == pytest.approx(0.25)
    assert figures.weighted_vote.accuracy == pytest.approx(0.75)
    assert figures.weighted_vote.gain == pytest.approx(0.5)
    assert figures.best_of_n.accuracy == pytest.approx(0.5)
    assert figures.pass_at_1 == pytest.approx(1 / 3)
    assert figures.pass_at_n == 1.0


def test_what_values_are_worth_before_the_end() -> None:
    # Two solutions of one problem, of 10 tokens each, with places after 3, 6 and 10 of them. The
    # right one is ahead at first, behind after six, ahead at the end; nothing is there after a
    # quarter.
    given = Examples(
        np.zeros((6, 1, 1), np.float16),
        np.array([2, 5, 9, 2, 5, 9]),
        np.array([0, 0, 0, 1, 1, 1]),
        np.zeros(2, int),
        np.array([0, 1]),
        np.array([True, False]),
        np.array([True, False]),
        (1,),
    )
    found = progress(given, np.array([0.9, 0.1, 0.9, 0.5, 0.5, 0.5]))
    assert [one.samples for one in found] == [0, 2, 2, 2]
    assert [one.auroc_within for one in found[1:]] == [1.0, 0.0, 1.0]
    assert np.isnan(found[0].auroc)


def test_too_few_are_refused_before_they_are_sampled() -> None:
    # Of 12 problems 3 are held out, and 9 are left; of 40 problems 30, with 39 of 52 solutions.
    for problems, samples in ((12, 1_000), (40, 52)):
        with pytest.raises(InputError, match="a quarter of the problems is held out"):
            check_size(problems, samples)
    check_size(13, 1_000)
    check_size(40, 54)


def test_a_head_is_joined_with_what_had_scored_the_samples() -> None:
    # The other verifier says all; the head's states say nothing.
    rng = np.random.default_rng(0)
    solutions = [
        replace(
            one,
            states=States((1,), (3,), rng.normal(size=4).astype(np.float16).tobytes()),
            scores={"prm": 0.9 if one.is_right else 0.2, "far": 7.0},
        )
        for one in planted()
    ]
    solutions[7] = replace(solutions[7], scores={})  # the verifier failed at it
    joined = train(to_examples(solutions), weights="w", model="m", data={}).joined
    assert joined is not None and joined.verifiers == ("prm",)
    of_prm, of_head = joined.weights
    assert of_prm > 1 and abs(of_head) < of_prm / 2
    assert joined.held_out.auroc_within > 0.99
    assert joined.held_out.best_of_n.accuracy == joined.held_out.pass_at_n


def test_bars_by_hand() -> None:
    # Four right solutions of three places, whose second look finds at best .1, .2, .3, .4, and a
    # wrong one that stays at .15.
    looks = [[0.1, 0.05, 0.9], [0.2, 0.1, 0.9], [0.3, 0.3, 0.9], [0.4, 0.2, 0.9], [0.15, 0.1, 0.1]]
    right = np.array([True, True, True, True, False])
    given = Examples(
        np.zeros((15, 1, 1), np.float16),
        np.tile([9, 19, 39], 5),
        np.repeat(np.arange(5), 3),
        np.zeros(5, int),
        np.zeros(5, int),
        right,
        right,
        (1,),
    )
    bars = {bar.loss: bar for bar in learn_bars(given, np.array(looks).ravel())}
    # No right solution may be lost: the lowest of their looks is the bar, and nothing is below it.
    assert bars[0.1].value == pytest.approx(0.1)
    assert bars[0.1].saved == 0.0
    assert is_hopeless([0.5, 0.09, 0.05], 0.1)
    assert not is_hopeless([0.05], 0.1)
    assert not is_hopeless([0.2, 0.05], 0.1)


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4], np.float32)).tolist() == [0.0, 0.5, 1.0]


def test_a_fitted_head_is_the_same_after_reading_it(tmp_path: Path) -> None:
    arrays = fit(examples(), Recipe((2,), 0.01))
    head = Head("w", "m", StateSpec((2,)), arrays, {"data": {"problems": 24}})
    head.save(tmp_path)
    read = load_head(tmp_path)
    states = planted()[0].states
    assert read.values(states) == head.values(states)
    assert read.facts == head.facts
