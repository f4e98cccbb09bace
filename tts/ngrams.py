"""Likeness of texts without a model: TF-IDF over character n-grams.

Inverse document frequencies are smoothed, ln((1 + n) / (1 + df)) + 1, vectors have unit length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.errors import optional_import

with optional_import("the likeness of texts by n-grams"):
    from scipy.sparse import csr_array

_SIZES = (1, 2, 3)
_CODE_BITS = 21  # of a Unicode character; three fit an int64


class NgramIndex:
    """Texts that are asked how near another one is to each of them; further ones may be added.

    Counts are kept, and weights follow from them when a text is asked about: each further text
    changes the weight of every n-gram.

    Args:
        texts: The first ones.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._codes = np.zeros(0, np.int64)  # of all n-grams, ascending
        self._numbers = np.zeros(0, np.int64)  # of the n-grams, in that order: their columns
        self._frequency = np.zeros(0)  # texts that hold each n-gram, by its number
        self._columns, self._counts = _Row(np.int64), _Row(np.float64)  # text after text
        self._ends = [0]
        self._weighted: _Weighted | None = None
        self.add(texts)

    def add(self, texts: Sequence[str]) -> None:
        """Take up further texts."""
        ngrams, rows, places, counts = _counted(texts)
        columns = self._numbered(ngrams)[places]
        self._frequency += np.bincount(columns, minlength=len(self._frequency))
        self._columns.extend(columns)
        self._counts.extend(counts)
        sizes = np.bincount(rows, minlength=len(texts))
        self._ends += (self._ends[-1] + np.cumsum(sizes)).tolist()
        self._weighted = None

    def cosines(self, text: str, *, without: Sequence[int] = ()) -> NDArray[np.float64]:
        """Return the cosine of a text with each of the index's, [texts]; 0 for an empty one.

        Args:
            text: It.
            without: Places of texts that count for nothing, as if they were not there.
        """
        weighted = self._weigh(without)
        codes, counts = np.unique(_ngram_codes(text), return_counts=True)
        if not codes.size or not self._codes.size:
            return np.zeros(len(self._ends) - 1)
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        is_known = self._codes[places] == codes
        columns = self._numbers[places[is_known]]
        weights = counts * weighted.rarest
        weights[is_known] = counts[is_known] * weighted.idf[columns]
        query = np.zeros(len(self._codes))
        query[columns] = weights[is_known]
        cosines: NDArray[np.float64] = weighted.rows @ (query / np.linalg.norm(weights))
        return cosines / weighted.norms

    def _numbered(self, ngrams: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of n-grams, ascending ones; new ones are given the next."""
        fresh = np.setdiff1d(ngrams, self._codes, assume_unique=True)
        numbers = len(self._codes) + np.arange(len(fresh))
        places = np.searchsorted(self._codes, fresh)
        self._codes = np.insert(self._codes, places, fresh)
        self._numbers = np.insert(self._numbers, places, numbers)
        self._frequency = np.concatenate([self._frequency, np.zeros(len(fresh))])
        return self._numbers[np.searchsorted(self._codes, ngrams)]

    def _weigh(self, without: Sequence[int]) -> "_Weighted":
        if self._weighted is not None and not without:
            return self._weighted
        columns, counts, num_texts = self._columns.values, self._counts.values, len(self._ends) - 1
        frequency = self._frequency.copy()
        for row in without:
            frequency[columns[self._ends[row] : self._ends[row + 1]]] -= 1
        idf = _idf(num_texts - len(without), frequency)
        weights, row_of = (
            counts * idf[columns],
            np.repeat(np.arange(num_texts), np.diff(self._ends)),
        )
        # A matrix that is only multiplied leaves the columns of its rows in their order.
        rows = csr_array((weights, columns, self._ends), shape=(num_texts, len(self._codes)))
        norms = np.sqrt(np.bincount(row_of, weights=weights**2, minlength=num_texts))
        norms[norms == 0] = norms[list(without)] = np.inf
        rarest = float(_idf(num_texts - len(without), np.zeros(1))[0])
        weighted = _Weighted(rows, norms, idf, rarest)
        if not without:
            self._weighted = weighted
        return weighted


@dataclass(frozen=True, slots=True)
class _Weighted:
    """Vectors of an index's texts as things stand.

    Attributes:
        rows: [texts, n-grams], weighted counts.
        norms: Of the rows; infinite for texts that are like nothing.
        idf: By n-gram.
        rarest: The idf of an n-gram that no text has.
    """

    rows: csr_array
    norms: NDArray[np.float64]
    idf: NDArray[np.float64]
    rarest: float


class _Row:
    """An array that grows, by doubling what it has room for."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._room = np.zeros(64, dtype)
        self._size = 0

    @property
    def values(self) -> NDArray[Any]:
        """What it holds."""
        return self._room[: self._size]

    def extend(self, values: NDArray[Any]) -> None:
        """Add values at its end."""
        size = self._size + len(values)
        if size > len(self._room):
            self._room = np.resize(self._room, max(size, 2 * len(self._room)))
        self._room[self._size : size] = values
        self._size = size


def embed_texts(texts: Sequence[str], copies: Sequence[int]) -> csr_array:
    """Return vectors of unit length, [len(texts), number of n-grams]; empty texts are 0.

    Args:
        texts: Each once.
        copies: How often each occurs; counts in the document frequencies.
    """
    ngrams, rows, columns, counts = _counted(texts)
    shape = (len(texts), max(1, len(ngrams)))
    frequency = np.bincount(
        columns, weights=np.asarray(copies, dtype=float)[rows], minlength=len(ngrams)
    )
    weights = counts * _idf(sum(copies), frequency)[columns]
    norms = np.sqrt(np.bincount(rows, weights=weights**2, minlength=len(texts)))
    return csr_array((weights / norms[rows], (rows, columns)), shape=shape)


def _idf(num_texts: int, frequency: NDArray[Any]) -> NDArray[np.float64]:
    idf: NDArray[np.float64] = np.log((1 + num_texts) / (1 + frequency)) + 1
    return idf


def _counted(texts: Sequence[str]) -> tuple[NDArray[np.int64], ...]:
    """Return the n-grams of texts, ascending, and each pair of a text and an n-gram once.

    Returns:
        Codes of the n-grams; of the pairs, by text and n-gram: the text's place, the n-gram's place
        among the codes, and how often the text holds it.
    """
    codes = [_ngram_codes(text) for text in texts]
    row_of = np.repeat(np.arange(len(texts)), [len(code) for code in codes])
    if not row_of.size:
        none = np.zeros(0, np.int64)
        return none, none, none, none
    ngrams, column_of = np.unique(np.concatenate(codes), return_inverse=True)
    pairs, counts = np.unique(row_of * len(ngrams) + column_of, return_counts=True)
    rows, columns = np.divmod(pairs, len(ngrams))
    return ngrams, rows, columns, counts


def _ngram_codes(text: str) -> NDArray[np.int64]:
    """Return one number for each n-gram of a text, another for each other n-gram.

    Runs of white space are one space.
    """
    text = " ".join(text.split())
    # One more than the code point, so that shorter n-grams are no longer ones with a zero.
    letters = np.array([ord(letter) + 1 for letter in text], dtype=np.int64)
    found, ngrams = [letters], letters
    for size in _SIZES[1:]:
        ngrams = (ngrams[:-1] << _CODE_BITS) | letters[size - 1 :]
        found.append(ngrams)
    return np.concatenate(found)
