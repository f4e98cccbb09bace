"""Training of heads: on states of the test's own, in which the answer is planted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts.errors import InputError
from tts.evals.heads.bars import learn_bars
from tts.evals.heads.examples import Examples, Solution, to_examples
from tts.evals.heads.fit import Recipe, fit, place_weights
from tts.evals.heads.measure import auroc, auroc_within, measure
from tts.evals.heads.train import cross_validate, recipes, split, train
from tts.heads.head import Head, load_head, sigmoid
from tts.heads.patience import is_hopeless
from tts.types import States, StateSpec

LAYERS = (1, 2)


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
            solutions.append(Solution(problem, 0 if is_right else wrong, is_right, states))
    return solutions


def examples(problems: int = 24) -> Examples:
    return to_examples(planted(problems), by_agreement=False)


@pytest.mark.slow
def test_what_is_planted_is_found() -> None:
    trained = train(examples(problems=60), weights="w", model="m", data={"problems": 60}, seed=1)
    assert 2 in trained.recipe.layers
    held = trained.held_out
    assert held.problems == 15
    # The planted number alone: two normals four apart, P(x > y) = Phi(4 / sqrt(2)) = 0.998.
    assert (held.auroc_within or 0) > 0.95
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
        solutions += [Solution(problem, 0, is_right, states) for _ in range(8)]
    given = to_examples(solutions, by_agreement=False)
    logits = cross_validate(given, Recipe((1,), 1e-3), seed=0)
    assert auroc(logits, given.label) < 0.8
    seen = fit(given, Recipe((1,), 1e-3))
    head = Head("", "", StateSpec((1,)), seen)
    assert auroc(head.logits(given.features((1,))).astype(float), given.label) > 0.95


def test_a_hidden_layer_learns_what_no_line_can() -> None:
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 1.0], size=(800, 2))
    right = values.prod(axis=1) > 0
    solutions = [
        Solution(i % 40, 0, bool(ok), States((1,), (3,), v.astype(np.float16).tobytes()))
        for i, (v, ok) in enumerate(zip(values, right, strict=True))
    ]
    given = to_examples(solutions, by_agreement=False)
    line = cross_validate(given, Recipe((1,), 1e-3), seed=0)
    bent = cross_validate(given, Recipe((1,), 1e-3, hidden=16), seed=0)
    assert auroc(line, right) < 0.6
    assert auroc(bent, right) > 0.85


def test_recipes_are_of_each_layer_and_of_all() -> None:
    assert {recipe.layers for recipe in recipes((3, 5))} == {(3,), (5,), (3, 5)}
    assert {recipe.layers for recipe in recipes((3,))} == {(3,)}
    assert str(Recipe((3, 5), 0.01, 64)) == "layer 3 and 5, 64 hidden units, penalty 0.01"


def test_places_share_a_solution_s_weight() -> None:
    # Three places of one solution and one of another: 1/3, 1/3, 1/3, 1, over their mean of 1/2.
    assert place_weights(np.array([0, 0, 0, 1])) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


def test_a_split_leaves_no_problem_on_both_sides() -> None:
    learnt, held = split(examples(), 0.25, seed=0)
    assert not set(learnt.problem) & set(held.problem)
    assert len(set(held.problem)) == 6
    assert held.solution.max() == len(held.problem) - 1
    assert (held.states == held.states[np.argsort(held.solution, kind="stable")]).all()


def test_labels_by_agreement() -> None:
    kept = planted(12, 5)
    solutions = []
    # Answers 1 1 2 and none: the first two agree. Answers 1 2: nobody does.
    for problem, classes in enumerate([(1, 1, 2, None), (1, 2)] * 12):
        solutions += [Solution(problem, c, c == 2, kept[0].states) for c in classes]
    given = to_examples(solutions, by_agreement=True)
    assert given.label[:6].tolist() == [True, True, False, False, False, False]
    assert given.is_right[:6].tolist() == [False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("solutions", "fault"),
    [
        ([], "no solution"),
        (planted(5), "5 problems with .* are too few"),
        ([replace(one, is_right=True) for one in planted()], "192 right and 0 wrong"),
        (
            [
                *planted(),
                Solution(0, 1, True, States(LAYERS, (1,), np.full(8, np.nan, "f2").tobytes())),
            ],
            "not finite",
        ),
    ],
)
def test_examples_of_which_nothing_can_be_learnt(solutions: list[Solution], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        to_examples(solutions, by_agreement=False)


def test_auroc_by_hand() -> None:
    values, right = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    # Pairs: .9 over .5 and .1, .5 ties with .5 and beats .1: 1 + 1 + 1/2 + 1 of 4.
    assert auroc(values, right) == pytest.approx(3.5 / 4)
    halves = [np.array([0, 2]), np.array([1, 3])]
    assert auroc_within(values, right, halves) == pytest.approx(1.0)
    assert auroc_within(values, right, [np.array([0, 1])]) is None
    assert auroc(values, np.ones(4, bool)) == 0.5


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
