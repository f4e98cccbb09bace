"""Likeness of texts without a model: TF-IDF over character n-grams.

Inverse document frequencies are smoothed, ln((1 + n) / (1 + df)) + 1, vectors have unit length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.errors import optional_import

with optional_import("the likeness of texts by n-grams"):
    from scipy.sparse import csr_array

_SIZES = (1, 2, 3)
_CODE_BITS = 21  # of a Unicode character; three fit an int64


@dataclass(frozen=True, slots=True)
class _Vectors:
    """Vectors of texts, and what the columns are.

    Attributes:
        rows: [texts, n-grams], of unit length; empty texts are 0.
        ngrams: Code of each column, ascending.
        idf: Of each column.
        rarest: The idf of an n-gram that no text has.
    """

    rows: csr_array
    ngrams: NDArray[np.int64]
    idf: NDArray[np.float64]
    rarest: float


class NgramIndex:
    """Texts that are asked how near another one is to each of them.

    Args:
        texts: At least one.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._vectors = _embed(texts, [1] * len(texts))

    def cosines(self, text: str) -> NDArray[np.float64]:
        """Return the cosine of a text with each of the index's, [texts]; 0 for an empty one."""
        known = self._vectors
        codes, counts = np.unique(_ngram_codes(text), return_counts=True)
        if not codes.size or not known.ngrams.size:
            return np.zeros(known.rows.shape[0])
        columns = np.minimum(np.searchsorted(known.ngrams, codes), len(known.ngrams) - 1)
        is_known = known.ngrams[columns] == codes
        weights = counts * np.where(is_known, known.idf[columns], known.rarest)
        query = np.zeros(len(known.ngrams))
        query[columns[is_known]] = weights[is_known]
        cosines: NDArray[np.float64] = known.rows @ (query / np.linalg.norm(weights))
        return cosines


def embed_texts(texts: Sequence[str], copies: Sequence[int]) -> csr_array:
    """Return vectors of unit length, [len(texts), number of n-grams]; empty texts are 0.

    Args:
        texts: Each once.
        copies: How often each occurs; counts in the document frequencies.
    """
    return _embed(texts, copies).rows


def _embed(texts: Sequence[str], copies: Sequence[int]) -> _Vectors:
    codes = [_ngram_codes(text) for text in texts]
    row_of = np.repeat(np.arange(len(texts)), [len(code) for code in codes])
    rarest = float(np.log(1 + sum(copies)) + 1)
    if not row_of.size:
        none = np.zeros(0)
        return _Vectors(csr_array((len(texts), 1)), none.astype(np.int64), none, rarest)
    ngrams, column_of = np.unique(np.concatenate(codes), return_inverse=True)
    # Each pair of text and n-gram once, with its count.
    pairs, counts = np.unique(row_of * len(ngrams) + column_of, return_counts=True)
    rows, columns = np.divmod(pairs, len(ngrams))
    frequency = np.bincount(columns, weights=np.asarray(copies, dtype=float)[rows])
    idf = np.log((1 + sum(copies)) / (1 + frequency)) + 1
    weights = counts * idf[columns]
    norms = np.sqrt(np.bincount(rows, weights=weights**2, minlength=len(texts)))
    shape = (len(texts), len(ngrams))
    return _Vectors(
        csr_array((weights / norms[rows], (rows, columns)), shape=shape), ngrams, idf, rarest
    )


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
