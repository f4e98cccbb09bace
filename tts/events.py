"""The kinds of events that a trace holds: each is declared here, and nowhere else in words.

A trace is written for people and viewers. What a program wants to know of a run stands, as values,
in `Result.facts` and in the records of a run; no code decides anything by the kind of an event.
Plug-ins may write kinds of their own.
"""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    # Of every node.
    "start": "A node began.",
    "end": "A node returned; it `read` so many trajectories of each input, and `sent` so many.",
    "cancelled": "A node ended, since nobody read it any more; `read` and `sent` as above.",
    "error": "A node failed: `type` and `message` of the exception.",
    "warning": "A node went on although something went wrong: `message`.",
    "stopped": "A rule of a node ended sampling: `rule`.",
    "deadline": "The deadline passed; nothing more is generated.",
    # Of requests.
    "request": "Completions were `asked` for, and so many `granted` by the budget.",
    "reserve": "Room for completions was `asked` for, and so much `granted`.",
    "completion": "A completion arrived: `index`, `tokens`, `cached`, `finish_reason`, `reused`.",
    "abort": "Completions were ended before the engine had finished them: `calls`, `tokens`.",
    # Of operators.
    "attempt": "The whole `text` of a sample that several completions, or none alone, wrote.",
    "allocate": "Whether more samples are worth it was decided after `drawn` of them.",
    "bar": "The least confidence that a trajectory must reach was set by `warmup` of them.",
    "choose": "One of a `window` of trajectories was chosen.",
    "critique": "A check of a trajectory ended with a `verdict`.",
    "chose": "A node chose `what` for a problem of an `expected` chance.",
    "escalate": "A problem was handed `to` another strategy.",
    "examples": "So many solved problems are `near`, and `shown`, unless a large model is asked.",
    "execute": "The program of an attempt was run: its `answer`, or the `error` that ended it.",
    "forced": "An attempt was cut at its limit, and its answer asked for.",
    "fork": "A text went on as `paths` side by side; tokens of all, and of the longest.",
    "grade": "A model graded attempts: the numbers of the `best`.",
    "graph": "A graph of tasks has ended: its figures.",
    "hints": "So many concepts are `known`, and `shown` before the problem.",
    "kept": "A problem left `what` to those that come after it.",
    "map": "A problem was split into `items`.",
    "probe": "A thought was asked for its `answer` so far, or valued (`value`).",
    "plan": "A plan, or a change of it, named a task: its `number`, and why it was `refused`.",
    "mode": "A `step` of an outline has its `difficulty`: it `thinks`, or not.",
    "prune": "A trajectory, or `nodes` of a search tree, were given up.",
    "pruned": "A trajectory was ended while it was drawn.",
    "retrieve": "So many `passages` like the problem were found.",
    "route": "A trajectory went one of two ways: `holds` is the condition.",
    "round": "A round of attempts ended: `number`, `mean` and `best` score, `copies` left out.",
    "score": "A `verifier` gave a trajectory its `value`, and each of its `steps` one.",
    "select": "The best of those that `arrived` were chosen, by the score `by`.",
    "tests": "A model wrote `tests`, of which so many are `splitting`: not all attempts agree.",
    "task": "A task of a plan has ended: `number`, `call`, what it `found`, `seconds`.",
    "think": "A thought ended after `tokens`.",
    "thought": "A verifier read a `part` of a thought: it `states` an answer, or the `same` again.",
    "thought_end": "A `rule` ended a thought.",
    "verify": "A target read a draft's chunk: `perplexity`, `p_value`, whether it `is_rejected`.",
    "vote": "Votes were counted: `read` trajectories, `voters`, weight by answer.",
    # Of verifiers.
    "choice": "A model that compares trajectories named one by its `label`.",
    "criticism": "A critic said `words` of an attempt, and gave it a `grade`.",
    "estimate": "A measure of confidence was estimated, since the engine cannot tell it.",
    "judge": "A judge's checks of a trajectory were read.",
    "list_rank": "A model ordered attempts: those that it `ranked`, best first.",
    # Of tree searches.
    "decide": "What is held, before and after pruning, and what a policy expands.",
    "step": "A step of the tree was scored.",
    "recall": "What a step called to mind.",
    "fail": "A tree node got no step, or no score.",
    "search": "A search ended: its figures, and the whole tree.",
}
