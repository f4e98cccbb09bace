"""Recipes: which operators, in which order; one function for each, which makes the pipeline.

    import tts

    pipeline = tts.strategies.cascade(n=4, then="best_of_n")

Each is a module of this folder with `Config`, its parameters, and `build`; the function takes the
parameters by name. To add one, write the module, and its name below for type checkers.
"""

from typing import TYPE_CHECKING

from tts.lazy import open_door
from tts.parts.catalog import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tts.pipeline import Pipeline

    ab_mcts: Callable[..., Pipeline]
    abandon: Callable[..., Pipeline]
    adaptive_consistency: Callable[..., Pipeline]
    apr: Callable[..., Pipeline]
    archon: Callable[..., Pipeline]
    atts: Callable[..., Pipeline]
    auto: Callable[..., Pipeline]
    backtracking: Callable[..., Pipeline]
    beam_search: Callable[..., Pipeline]
    best_first: Callable[..., Pipeline]
    best_of_n: Callable[..., Pipeline]
    budget_forcing: Callable[..., Pipeline]
    cascade: Callable[..., Pipeline]
    chops: Callable[..., Pipeline]
    codemonkeys: Callable[..., Pipeline]
    codet: Callable[..., Pipeline]
    concept_memory: Callable[..., Pipeline]
    deepconf: Callable[..., Pipeline]
    doubling: Callable[..., Pipeline]
    dvts: Callable[..., Pipeline]
    dynasor: Callable[..., Pipeline]
    early_exit: Callable[..., Pipeline]
    esc: Callable[..., Pipeline]
    ets: Callable[..., Pipeline]
    ets_joint: Callable[..., Pipeline]
    evoscale: Callable[..., Pipeline]
    example_cache: Callable[..., Pipeline]
    flash_searcher: Callable[..., Pipeline]
    genfuse: Callable[..., Pipeline]
    genselect: Callable[..., Pipeline]
    hedged: Callable[..., Pipeline]
    hybrid_verifier: Callable[..., Pipeline]
    hogwild: Callable[..., Pipeline]
    hogwild_lagged: Callable[..., Pipeline]
    iself_discover: Callable[..., Pipeline]
    llm_compiler: Callable[..., Pipeline]
    lookahead: Callable[..., Pipeline]
    malt: Callable[..., Pipeline]
    mcts: Callable[..., Pipeline]
    mixture: Callable[..., Pipeline]
    multiverse: Callable[..., Pipeline]
    no_thinking: Callable[..., Pipeline]
    particle_filter: Callable[..., Pipeline]
    pdr: Callable[..., Pipeline]
    program_vote: Callable[..., Pipeline]
    rebase: Callable[..., Pipeline]
    revisions: Callable[..., Pipeline]
    route_by: Callable[..., Pipeline]
    scale: Callable[..., Pipeline]
    self_certainty: Callable[..., Pipeline]
    self_consistency: Callable[..., Pipeline]
    self_repair: Callable[..., Pipeline]
    self_refine: Callable[..., Pipeline]
    single: Callable[..., Pipeline]
    trimr: Callable[..., Pipeline]
    weighted_vote: Callable[..., Pipeline]
    xmbr: Callable[..., Pipeline]

open_door(
    __name__,
    {name: f"{__name__}.{name}" for name in names("strategy")},
    take="tts.parts.build.strategy_factory",
)
