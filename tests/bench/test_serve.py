"""The words of `tts bench serve`."""

from tts.bench.serve import describe
from tts.bench.serve_run import Pace, Voting


def test_ratios_are_medians_over_the_turns() -> None:
    ours = [Pace("tts serve", 8, pace, p50, 2.0) for pace, p50 in ((90, 11), (50, 14), (300, 8))]
    theirs = [Pace("vLLM's server", 8, 100, 10, 4.0)] * 3
    votes = [Voting("its_hub", 16, 0.5, 0.25, 90, 100, 60.0)]
    assert list(describe([*ours, *theirs], votes)) == [
        # 0.9, 0.5 and 3.0 of their pace; 1, 4 and -2 ms later; half their processor time
        "8 at once: throughput 0.90 of vLLM's, p50 +1.0 ms, CPU 0.50",
        "its_hub, 16 samples: 0.50 problems/s, 60 tokens/s, 25% right, 0.900 counted",
    ]
