"""Measure ourselves against others, side by side in one run: one benchmark a file.

`<name>.py` holds the command of a benchmark; `<name>_run.py`, `<name>_figures.py` and
`<name>_plot.py` what it runs, computes and draws.
"""

COMMANDS = (
    "allocation",
    "answers",
    "auto",
    "cost_model",
    "crossover",
    "facts",
    "faults",
    "fleet",
    "graph",
    "kernels",
    "lessons",
    "long_steps",
    "memory",
    "ordering",
    "programs",
    "recall",
    "remote",
    "runtime",
    "sequential",
    "serve",
    "spawn",
    "sparse",
    "sparse_quality",
    "steps",
    "states",
    "strategies",
    "thoughts",
    "throughput",
    "tree",
)
