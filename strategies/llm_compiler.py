"""LLMCompiler: plan tool calls as a graph, run what can run at once, join, and plan anew if needed.

Source: Kim et al. 2023, "An LLM Compiler for Parallel Function Calling", arXiv:2312.04511: tasks
start while the plan is still being written, `$k` stands for what task k has found, a joiner
finishes or asks for another plan, which goes on with the findings of the last; temperature 0, one
plan anew.

Departures: prompts are ours, with one short example of a plan in place of examples for each
benchmark. A server's model plans by tool calls of its own, all in one reply; elsewhere, and on a
server that has none, a plan is text, whose lines are requests of their own, so that they can be
read while the plan is written. A task that needs a
failed one does not run; the published code waits for it forever. What is found is quoted, so that
it can add no line to a prompt, and is put into arguments that have been read already.
"""

from pydantic import Field

from tts.operators.dag import Tools, dag
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of LLMCompiler."""

    tools: Tools
    max_replans: int = Field(1, ge=0, le=16, description="most times that the joiner may ask anew")


def build(config: Config) -> Pipeline:
    """Plan, run, join."""
    return dag(tools=config.tools, max_replans=config.max_replans)
