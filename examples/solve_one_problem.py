"""Solve one problem by self-consistency: sample eight times, let the answers vote.

The model is the small one that ships with the package; it knows chained arithmetic. Any other is
named in its place: `model="Qwen/Qwen3-8B"`, or `model="my-model@http://localhost:8000/v1"`.
"""

import tts

PROBLEM = "Begin at 20. Increase it by 8. Increase it by 37. Which number do you get?"


def main() -> None:
    """Print the answer, how many samples gave it, and what it cost."""
    try:
        result = tts.solve(PROBLEM, preset="self_consistency", overrides=["n=8"], budget="4k")
    finally:
        tts.shutdown()
    if result.answer is None:
        print("no answer:", result.reason)
    else:
        support = result.answer.support
        print(f"{result.answer.text} ({support.votes} of {support.voters} votes)")
    print(f"{result.usage.generated_tokens} tokens in {result.usage.seconds:.2f} s")


if __name__ == "__main__":
    main()
