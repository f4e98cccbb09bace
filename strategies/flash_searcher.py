"""Flash-Searcher: a graph of tasks that its planner changes while it runs.

Source: Qin et al. 2025, "Flash-Searcher: Fast and Effective Web Agents via DAG-Based Parallel
Execution", arXiv:2509.25301: the question becomes sub-tasks with what they need of each other, all
that can run does, the graph is refined after what was found, and summaries keep the context short.

Departures: only the abstract is public to us, so prompts, the moment of a look at the graph and its
limit are ours. The planner looks whenever all tasks that ran at its last look have ended, and when
one has failed; meanwhile what is ready runs. It may add tasks and rewrite or drop those that have
not begun; a change that would leave a circle, or a task without what it needs, is refused. There is
no search of the web among our own tools: `facts` looks into a file, and a plug-in brings others.
"""

from pydantic import Field

from tts.operators.dag import Tools, dag
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of Flash-Searcher."""

    tools: Tools
    reviews: int = Field(4, ge=1, le=64, description="most looks at the graph while it runs")
    summarise_at: int | None = Field(
        8_000, ge=100, description="characters of findings that are summed up; never if none"
    )


def build(config: Config) -> Pipeline:
    """Plan, run and look, answer."""
    return dag(
        tools=config.tools,
        max_replans=0,
        reviews=config.reviews,
        summarise_at=config.summarise_at,
    )
