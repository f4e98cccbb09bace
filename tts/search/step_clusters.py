"""Which steps say the same: clusters of step texts, by average linkage on their distances.

Without a model, texts are alike in their words, by TF-IDF over character n-grams (`tts.ngrams`),
and in their numbers, which say in mathematics what came out; with an embedding model, by its
vectors. Equal texts always fall together.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tts.ngrams import embed_texts
from tts.types.arrays import FloatArray

TEXT_DISTANCE = 0.3  # by `tts bench steps` on real steps: docs/search.md
EMBEDDING_DISTANCE = 0.05  # of a sentence encoder, as published
Likeness = Callable[[Counter[str]], NDArray[np.float64]]
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def text_likeness(copies: Counter[str]) -> NDArray[np.float64]:
    """Return how alike texts are, [texts, texts], 0 to 1: in their words, and in their numbers.

    The mean of the cosine between character n-grams and of the share of numbers that two texts have
    in common (Jaccard's, weighted by inverse document frequency); the cosine alone between texts
    without numbers.

    Args:
        copies: Texts, and how often each occurs.
    """
    texts, counts = list(copies), np.array(list(copies.values()), dtype=float)
    vectors = embed_texts(texts, list(copies.values()))
    words: NDArray[np.float64] = (vectors @ vectors.T).toarray()
    found = [set(_NUMBER.findall(text)) for text in texts]
    known = sorted(set().union(*found))
    has = np.array([[number in each for number in known] for each in found], dtype=float)
    if not known:
        return words
    weights = np.log((1 + counts.sum()) / (1 + counts @ has)) + 1
    own, common = has @ weights, (has * weights) @ has.T
    either = own[:, None] + own - common
    shared = np.divide(common, either, out=np.zeros_like(common), where=either > 0)
    return np.where(either > 0, (words + shared) / 2, words)


def embedding_cosines(
    vectors: Mapping[str, FloatArray], copies: Counter[str]
) -> NDArray[np.float64]:
    """Return the cosines between texts by their embeddings, [texts, texts].

    Args:
        vectors: [D] each, of any length; a text without one, or with zeros, is like no other.
        copies: Texts, and how often each occurs, which makes no difference.
    """
    nothing = np.zeros_like(next(iter(vectors.values()), np.zeros(1)))
    rows = np.stack([vectors.get(text, nothing) for text in copies]).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    cosines: NDArray[np.float64] = units @ units.T
    return cosines


def cluster_steps(
    texts: Sequence[str], distance: float, likeness: Likeness = text_likeness
) -> list[int]:
    """Return the cluster of each text, numbered from 0 in order of appearance.

    Args:
        texts: Steps.
        distance: 1 less the likeness, at which the dendrogram is cut, 0 to 1.
        likeness: Of the distinct texts.
    """
    copies = Counter(texts)
    labels = link_by_average(1.0 - likeness(copies), list(copies.values()), distance)
    label_by_text = dict(zip(copies, labels, strict=True))
    return [label_by_text[text] for text in texts]


def link_by_average(distances: NDArray[np.float64], sizes: Sequence[int], cut: float) -> list[int]:
    """Return clusters by average linkage (UPGMA), merged while the nearest two are within `cut`.

    Average linkage never comes nearer by merging, so that what is above the cut can be left.

    Args:
        distances: [points, points], symmetric.
        sizes: How many equal points each stands for.
        cut: Largest distance that is merged.

    Returns:
        Cluster of each point, numbered from 0 in the order of their first points.
    """
    between = distances.copy()
    np.fill_diagonal(between, np.inf)
    weights = np.array(sizes, dtype=float)
    label = np.arange(len(weights))
    while between.size and between.min() <= cut:
        first, second = sorted(np.unravel_index(between.argmin(), between.shape))
        both = weights[first] + weights[second]
        merged = (weights[first] * between[first] + weights[second] * between[second]) / both
        between[first] = between[:, first] = merged
        between[first, first] = between[second] = between[:, second] = np.inf
        weights[first] = both
        label[label == second] = first
    numbers: list[int] = np.unique(label, return_inverse=True)[1].tolist()
    return numbers
