"""Which steps say the same: clusters of step texts by character n-grams.

TF-IDF over character n-grams with smoothed idf, ln((1 + n) / (1 + df)) + 1, unit length; average
linkage on cosine distance. No model is needed, and equal texts always fall together.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

_SIZES = (1, 2, 3)


def cluster_steps(texts: Sequence[str], distance: float) -> list[int]:
    """Return the cluster of each text, numbered from 0 in order of appearance.

    Args:
        texts: Steps.
        distance: Cosine distance at which the dendrogram is cut, 0 to 1.
    """
    if len(texts) < 2:
        return [0] * len(texts)
    vectors = embed_texts(texts)
    distances = np.clip(1.0 - vectors @ vectors.T, 0.0, None)
    upper = distances[np.triu_indices(len(texts), k=1)]
    labels = fcluster(linkage(upper, method="average"), t=distance, criterion="distance")
    numbers = count()
    number_by_label: dict[int, int] = {}
    for label in labels.tolist():
        if label not in number_by_label:
            number_by_label[label] = next(numbers)
    return [number_by_label[label] for label in labels.tolist()]


def embed_texts(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return TF-IDF vectors of unit length, [len(texts), number of n-grams]; empty texts are 0."""
    counts = [_ngrams(" ".join(text.split())) for text in texts]
    frequency = Counter(ngram for c in counts for ngram in c)
    place = {ngram: column for column, ngram in enumerate(frequency)}
    matrix = np.zeros((len(texts), max(1, len(place))))
    for row, c in enumerate(counts):
        for ngram, number in c.items():
            idf = np.log((1 + len(texts)) / (1 + frequency[ngram])) + 1
            matrix[row, place[ngram]] = number * idf
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    result: NDArray[np.float64] = matrix / np.where(norms > 0, norms, 1.0)
    return result


def _ngrams(text: str) -> Counter[str]:
    return Counter(text[i : i + size] for size in _SIZES for i in range(len(text) - size + 1))
