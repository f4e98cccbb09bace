"""Build a pipeline in Python and run it on many problems at once.

`>>` feeds the trajectories of one operator into the next. The vote stops as soon as the samples
that are still running cannot change the winner; that cancels them.
"""

import asyncio

import tts
from tts.operators import sample, vote

PROBLEMS = [
    tts.Problem(id="sum", statement="Begin at 20. Increase it by 8. Which number do you get?"),
    tts.Problem(id="chain", statement="Begin at 9. Increase it by 5. Which number do you get?"),
]


async def main() -> None:
    """Print each problem's answer as soon as it is decided."""
    pipeline = sample(n=8) >> vote(stop="settled")
    runtime = tts.Runtime("bundled:reasoner")
    async with runtime, runtime.run_many(pipeline, PROBLEMS) as results:
        async for result in results:
            text = result.answer.text if result.answer else result.reason
            print(f"{result.problem.id}: {text}, {result.usage.generated_tokens} tokens")


if __name__ == "__main__":
    asyncio.run(main())
