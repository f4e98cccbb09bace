"""Figures of a run that nobody made."""

from tts.types.figures import Cost, Interval, KVBytes, Summary, Tokens


def summary() -> Summary:
    """Return the figures of ten problems, half of them right."""
    return Summary(
        benchmark="sums",
        preset="single",
        model="scripted",
        engine="scripted",
        engines=(),
        seed=0,
        repeats=1,
        planned=10,
        done=10,
        problems=10,
        answered=10,
        samples=10,
        accuracy=0.5,
        interval=Interval(0.24, 0.76),
        pass_at_k={},
        maj_at_k={},
        cost=Cost(tokens=100.0),
        tokens=Tokens(prompt=10, cached=0, scored=0, generated=1000, wasted=0, reused=0, lost=0),
        kv_bytes=KVBytes(read=None, dense=None),
        seconds=1.0,
        out="runs/none",
    )
