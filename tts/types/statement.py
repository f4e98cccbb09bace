"""What a problem is known by, wherever it occurs."""

import hashlib


def statement_key(statement: str) -> str:
    """Return a hash of what is asked, spacing apart: 48 bits in hexadecimal.

    Policies, routers and the list of published test sets keep these, so that nobody is measured on
    what was fitted, and no statement can be read out of them.
    """
    return hashlib.sha256(" ".join(statement.split()).encode()).hexdigest()[:12]
