"""Command line: `python -m tts.bundled.train COMMAND`, in the order of `COMMANDS`."""

import argparse
import logging
import math
import os
from pathlib import Path

from tts.bundled import WEIGHTS
from tts.bundled.corpus import CHAIN_SHARE
from tts.bundled.sampling import prepare

COMMANDS = {
    "corpus": "write a part of the corpus, to look at",
    "tokenizer": "train the tokenizer",
    "policy": "train the policy; goes on from its last checkpoint",
    "try": "let the policy try training problems, for what it and the reward model learn next",
    "draft": "train the draft model; likewise",
    "direct": "train the model of `tts bench crossover` that answers at once; likewise",
    "dfs": "train the one that searches, depth first; likewise",
    "spawn": "train one that spawns searches, for the preset `apr`; it does not ship",
    "serial": "train its twin, which writes the same searches one after the other; likewise",
    "prm": "train the process reward model",
    "report": "measure one part: solve, prm, behaviours or draft",
}


def main() -> None:
    """Run one command."""
    options = _parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare()  # before torch comes in with the jobs
    from tts.bundled import jobs

    options.lab.mkdir(parents=True, exist_ok=True)
    jobs.JOBS[options.command](options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tts.bundled.train",
        description="\n".join(f"{name:10} {text}" for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", choices=list(COMMANDS))
    add("--lab", type=Path, default=Path("lab"), help="checkpoints, samples and reports")
    add("--weights", type=Path, default=WEIGHTS, help="where models are exported")
    add("--minutes", type=float, default=60.0, help="training time, earlier runs included")
    add("--tokens", type=float, default=math.inf, help="end earlier, after so many")
    add("--seed", type=int, default=1)
    add("--lr", type=float, default=None, help="learning rate of the matrices")
    add("--batch-tokens", type=int, default=6144)
    add(
        "--chain-share", type=float, default=CHAIN_SHARE, help="of the examples; countdown the rest"
    )
    add("--resume", action="store_true", help="prm: go on from the exported reward model")
    add("--threads", type=int, default=os.cpu_count())
    add("--problems", type=int, default=None, help="problems to sample or measure")
    add("--samples", type=int, default=None, help="samples of each problem")
    add("--part", default="solve", choices=["solve", "prm", "behaviours", "draft"])
    add("--split", default="calibration", choices=["calibration", "test"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
