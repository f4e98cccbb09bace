"""What a prompt says before anything is sampled; it needs no package beside Python."""

import math
import re

_NUMERIC = re.compile(r"\d+")


def prompt_features(statement: str) -> dict[str, float]:
    """Return what the statement says before anything is sampled."""
    numbers = _NUMERIC.findall(statement)
    return {
        "log_chars": math.log1p(len(statement)),
        "numbers": float(len(numbers)),
        "longest_number": float(max(map(len, numbers), default=0)),
        "formulas": float(statement.count("$") // 2 + statement.count("\\(")),
    }
