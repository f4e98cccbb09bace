"""Solve a benchmark by two presets and compare their figures.

Every run is a folder. Started again, the script goes on where it was interrupted; `tts report` and
`tts compare` read the same folders.
"""

import tts


def main() -> None:
    """Print accuracy and generated tokens of each preset."""
    try:
        presets = ["single", "self_consistency"]
        summaries = tts.evaluate("chain", presets, limit=4, overrides=["sampling.max_tokens=256"])
    finally:
        tts.shutdown()
    for summary in summaries:
        tokens = summary.tokens.generated
        print(f"{summary.preset}: {summary.accuracy:.0%} right, {tokens} tokens")


if __name__ == "__main__":
    main()
