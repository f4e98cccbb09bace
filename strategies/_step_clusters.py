"""Which steps say the same: clusters of step texts by character n-grams.

TF-IDF over character n-grams with smoothed idf, ln((1 + n) / (1 + df)) + 1, unit length; average
linkage on cosine distance. No model is needed, and equal texts always fall together.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import count

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array

_SIZES = (1, 2, 3)


def cluster_steps(texts: Sequence[str], distance: float) -> list[int]:
    """Return the cluster of each text, numbered from 0 in order of appearance.

    Args:
        texts: Steps.
        distance: Cosine distance at which the dendrogram is cut, 0 to 1.
    """
    if len(texts) < 2:
        return [0] * len(texts)
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    vectors = embed_texts(list(rows), [texts.count(text) for text in rows])
    near = (vectors @ vectors.T).toarray()
    place = [rows[text] for text in texts]
    distances = np.clip(1.0 - near[np.ix_(place, place)], 0.0, None)
    upper = distances[np.triu_indices(len(texts), k=1)]
    labels = fcluster(linkage(upper, method="average"), t=distance, criterion="distance")
    numbers = count()
    number_by_label: dict[int, int] = {}
    for label in labels.tolist():
        if label not in number_by_label:
            number_by_label[label] = next(numbers)
    return [number_by_label[label] for label in labels.tolist()]


def embed_texts(texts: Sequence[str], copies: Sequence[int]) -> csr_array:
    """Return TF-IDF vectors of unit length, [len(texts), number of n-grams]; empty texts are 0.

    Args:
        texts: Steps, each once.
        copies: How often each occurs; counts in the document frequencies.
    """
    counts = [_ngrams(" ".join(text.split())) for text in texts]
    frequency: Counter[str] = Counter()
    for ngrams, number in zip(counts, copies, strict=True):
        frequency.update(dict.fromkeys(ngrams, number))
    place = {ngram: column for column, ngram in enumerate(frequency)}
    total = sum(copies)
    idf = {ngram: math.log((1 + total) / (1 + df)) + 1 for ngram, df in frequency.items()}
    rows, columns, values = [], [], []
    for row, ngrams in enumerate(counts):
        weights = {ngram: number * idf[ngram] for ngram, number in ngrams.items()}
        norm = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
        rows += [row] * len(weights)
        columns += [place[ngram] for ngram in weights]
        values += [weight / norm for weight in weights.values()]
    return csr_array((values, (rows, columns)), shape=(len(texts), max(1, len(place))))


def _ngrams(text: str) -> Counter[str]:
    return Counter(text[i : i + size] for size in _SIZES for i in range(len(text) - size + 1))
