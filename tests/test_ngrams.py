"""TF-IDF over character n-grams, by hand and against itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.ngrams import NgramIndex, embed_texts


def test_vectors_by_hand() -> None:
    # "a" and "b" hold one n-gram each, of their own: orthogonal. "ab" holds a, b and ab.
    vectors = embed_texts(["a", "b", "ab", ""], [1, 1, 1, 0]).toarray()
    assert vectors[0] @ vectors[1] == 0
    # idf of a (in 2 of 3) is ln(4/3) + 1 = 1.2877, of ab (in 1) ln(4/2) + 1 = 1.6931.
    expected = 1.2877 / (2 * 1.2877**2 + 1.6931**2) ** 0.5
    assert vectors[0] @ vectors[2] == pytest.approx(expected, abs=1e-4)
    assert not vectors[3].any()


def test_cosines_by_hand() -> None:
    index = NgramIndex(["a", "b"])
    # "ac" holds a (in 1 of 2: ln(3/2) + 1 = 1.4055), c and ac (in none: ln 3 + 1 = 2.0986 each).
    expected = 1.4055 / (1.4055**2 + 2 * 2.0986**2) ** 0.5
    assert index.cosines("ac") == pytest.approx([expected, 0.0], abs=1e-4)
    assert index.cosines("c").tolist() == [0.0, 0.0]
    assert index.cosines(" ").tolist() == [0.0, 0.0]
    assert NgramIndex([""]).cosines("a").tolist() == [0.0]


@given(st.lists(st.text("abc ", max_size=6), min_size=1, max_size=5))
def test_a_text_of_the_index_is_as_near_as_its_own_vector(texts: list[str]) -> None:
    vectors = embed_texts(texts, [1] * len(texts)).toarray()
    index = NgramIndex(texts)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.allclose(index.cosines(text), vectors @ vector)


@given(
    st.lists(st.text("abc ", max_size=6), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=3),
)
def test_an_index_that_grew_is_as_one_made_at_once(texts: list[str], left_out: list[int]) -> None:
    grown = NgramIndex()
    for text in texts:
        grown.add([text])
        grown.cosines("ab")  # what it knew is not kept
    without = sorted({place for place in left_out if place < len(texts)})
    rest = [text for place, text in enumerate(texts) if place not in without]
    found = grown.cosines("abba", without=without)
    assert not found[without].any()
    kept = [found[place] for place in range(len(texts)) if place not in without]
    assert np.allclose(kept, NgramIndex(rest).cosines("abba"))
    assert np.allclose(grown.cosines("abba"), NgramIndex(texts).cosines("abba"))
