"""Compare presets on a few problems with known answers, in accuracy and in tokens.

One runtime keeps every sample in its log. Both presets name the same samples by the same seeds, so
the second one votes over samples that are already there and costs no new tokens for them.
"""

import asyncio

import tts

PROBLEMS = [
    tts.Problem(
        id=f"{start}+{step}",
        statement=f"Begin at {start}. Increase it by {step}. Which number do you get?",
        reference=str(start + step),
        answer_type="integer",
    )
    for start, step in ((20, 8), (9, 5), (31, 44), (7, 60))
]


async def main() -> None:
    """Print one line per preset."""
    async with tts.Runtime("bundled:reasoner") as runtime:
        for name in ("self_consistency", "early_stop"):
            async with runtime.run_many(name, PROBLEMS, overrides=["n=8"]) as results:
                done = [result async for result in results]
            right = sum(r.answer is not None and r.answer.text == r.problem.reference for r in done)
            tokens = sum(r.usage.generated_tokens or 0 for r in done)
            reused = sum(r.usage.reused_tokens for r in done)
            print(f"{name}: {right} of {len(done)} right, {tokens} tokens, {reused} of them reused")


if __name__ == "__main__":
    asyncio.run(main())
