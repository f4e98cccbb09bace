"""A seed for every sample, from what it is and never from when it ran."""

import hashlib

_SEED_BITS = 48


def derive_seed(run_seed: int, problem_id: str, node: str, parent_id: str = "") -> int:
    """Return the base seed of a request: a hash of its place in the run.

    Sample i of the request uses the base plus i, so that one request for n completions equals n
    requests. 48 bits leave room for the sum within the 63 bits that engines accept.
    """
    key = "\x1f".join((str(run_seed), problem_id, node, parent_id))
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _SEED_BITS)
