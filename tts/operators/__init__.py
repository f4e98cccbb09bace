"""What a node of a pipeline does: one function for each operator, which makes a pipeline of it.

    from tts.operators import sample, score, vote

    pipeline = sample(n=8) >> score(verifier="prm") >> vote(weights="prm")

Parameters are those of presets, and are given by name. An operator of your own is a class of
`OperatorModel` with `spec` and `run`, and `node` makes its function.
"""

from typing import TYPE_CHECKING

from tts.lazy import open_door

if TYPE_CHECKING:
    from tts.operators._condition import Condition as Condition
    from tts.operators.abandon import abandon as abandon
    from tts.operators.allocate import allocate as allocate
    from tts.operators.base import OperatorModel as OperatorModel
    from tts.operators.base import node as node
    from tts.operators.choose import choose as choose
    from tts.operators.concepts import concepts as concepts
    from tts.operators.dag import dag as dag
    from tts.operators.delegate import delegate as delegate
    from tts.operators.draft_chunks import draft_chunks as draft_chunks
    from tts.operators.escalate import escalate as escalate
    from tts.operators.evolve import evolve as evolve
    from tts.operators.examples import examples as examples
    from tts.operators.execute import execute as execute
    from tts.operators.expand import expand as expand
    from tts.operators.follow import follow as follow
    from tts.operators.force import force as force
    from tts.operators.fuse import fuse as fuse
    from tts.operators.lockstep import lockstep as lockstep
    from tts.operators.loop import loop as loop
    from tts.operators.map_parts import map_parts as map_parts
    from tts.operators.parallel_blocks import parallel_blocks as parallel_blocks
    from tts.operators.plan import plan as plan
    from tts.operators.prune import prune as prune
    from tts.operators.refine import refine as refine
    from tts.operators.retrieve import retrieve as retrieve
    from tts.operators.route import route as route
    from tts.operators.route_by import route_by as route_by
    from tts.operators.sample import sample as sample
    from tts.operators.score import score as score
    from tts.operators.screen import screen as screen
    from tts.operators.select import select as select
    from tts.operators.shared_cache import shared_cache as shared_cache
    from tts.operators.shared_work import shared_work as shared_work
    from tts.operators.solve_steps import solve_steps as solve_steps
    from tts.operators.spawn import spawn as spawn
    from tts.operators.think import think as think
    from tts.operators.tree_search import tree_search as tree_search
    from tts.operators.trim import trim as trim
    from tts.operators.vote import vote as vote
    from tts.parts.parameters import Parameters as Parameters
    from tts.pipeline import Node as Node
    from tts.protocols import Context as Context
    from tts.protocols import Inlet as Inlet
    from tts.protocols import Operator as Operator
    from tts.protocols import Outlet as Outlet
    from tts.protocols import Spec as Spec

_OPERATORS = (
    "abandon",
    "allocate",
    "choose",
    "concepts",
    "dag",
    "delegate",
    "draft_chunks",
    "escalate",
    "evolve",
    "examples",
    "execute",
    "expand",
    "follow",
    "force",
    "fuse",
    "lockstep",
    "loop",
    "map_parts",
    "parallel_blocks",
    "plan",
    "prune",
    "refine",
    "retrieve",
    "route",
    "route_by",
    "sample",
    "score",
    "screen",
    "select",
    "shared_cache",
    "shared_work",
    "solve_steps",
    "spawn",
    "think",
    "tree_search",
    "trim",
    "vote",
)

open_door(
    __name__,
    {
        "Condition": f"{__name__}._condition",
        "Node": "tts.pipeline",
        "OperatorModel": f"{__name__}.base",
        "Parameters": "tts.parts.parameters",
        "node": f"{__name__}.base",
        **dict.fromkeys(("Context", "Inlet", "Operator", "Outlet", "Spec"), "tts.protocols"),
        **{name: f"{__name__}.{name}" for name in _OPERATORS},
    },
)
