"""What is refused before a token is spent."""

from collections.abc import Mapping
from dataclasses import replace

from tts.costs.flops import sequence_eflops
from tts.errors import BudgetError, CapabilityError
from tts.protocols import Engine, Verifier
from tts.runtime.job import Job
from tts.types import Budget, Sampling

THOUGHT_TOKENS = 16_384  # published thoughts on hard school problems take thousands


def check_job(
    job: Job,
    engines: Mapping[str, Engine],
    verifiers: Mapping[str, Verifier],
    run_budget: Budget,
) -> None:
    """Refuse a job that cannot run on these engines; the problem itself does not matter.

    Args:
        job: What is to be done.
        engines: By name; the empty one is the run's own.
        verifiers: By name.
        run_budget: Hard limits on everything that the run does.

    Raises:
        PipelineError: The graph is wrong, or names a verifier that is not there.
        CapabilityError: An engine lacks something, or is not there.
        BudgetError: An engine that it asks cannot count what a budget limits, or the run's budget
            limits what only a problem has.
    """
    job.pipeline.check()
    job.pipeline.check_engines(engines, verifiers)
    own = engines[""]
    # Fields of a request have been read by then, or are the engine's to read.
    asked = replace(job.pipeline.reporting(job.sampling, engines, verifiers), extra_body={})
    job.pipeline.check_sampling(asked, job.states or job.pipeline.hidden_states(verifiers))
    if job.sampling.reflection and not own.capabilities.logits_processors:
        raise CapabilityError(
            f"{own.info.name} runs no logits processors, which sampling.reflection needs; "
            "the embedded vLLM does"
        )
    if job.sampling.chat_template_kwargs or job.sampling.extra_body:
        _check_own_prompts(own, "sampling.chat_template_kwargs and sampling.extra_body")
    if run_budget.sequential is not None:
        raise BudgetError(
            "tokens one after the other are counted problem by problem: limit them with the "
            "problems' budget, and the run by another unit"
        )
    for name in sorted(job.pipeline.engines(verifiers)):
        for budget in (job.budget, run_budget):
            check_budget(budget, engines[name])


def with_room(sampling: Sampling, engine: Engine) -> Sampling:
    """Return a sampling profile whose limit, where nobody chose it, lets a model end its thought.

    Args:
        sampling: Of a preset.
        engine: Started; up to half of its model's context is given to a completion.
    """
    if not sampling.leaves_room:
        return sampling
    tokens, context = sampling.max_tokens, engine.info.context_tokens
    if engine.capabilities.thinks:
        half = THOUGHT_TOKENS if context is None else context // 2
        tokens = max(tokens, min(THOUGHT_TOKENS, half))
    return replace(sampling, max_tokens=tokens, leaves_room=False)


def check_prompt(job: Job, engine: Engine) -> None:
    """Refuse a problem that is asked otherwise than an engine can answer.

    Raises:
        CapabilityError: The engine only replays samples.
    """
    if job.problem.prompt is not None:
        _check_own_prompts(engine, "the prompt block")


def _check_own_prompts(engine: Engine, what: str) -> None:
    if not engine.capabilities.own_prompts:
        raise CapabilityError(f"{engine.info.name} replays recorded samples; leave {what} out")


def check_budget(budget: Budget, engine: Engine) -> None:
    """Refuse a budget that the engine cannot count.

    Raises:
        BudgetError: A limit in a unit that cannot be counted of this engine.
    """
    info = engine.info
    is_in_tokens = budget.tokens is not None or budget.sequential is not None
    if is_in_tokens and not engine.capabilities.token_counts:
        raise BudgetError(f"{info.name} reports no token counts; budget its calls instead")
    if budget.flops is not None and info.parameters is None:
        raise BudgetError(f"the size of {info.name} is unknown; budget tokens instead of flops")
    if budget.eflops is not None and sequence_eflops(info, 1, 1) is None:
        raise BudgetError(
            f"the shape of {info.name} is unknown, and so its memory traffic; budget "
            f"{'tokens' if info.parameters is None else 'flops'} instead of eflops"
        )
    if budget.usd is not None and info.price is None:
        raise BudgetError(
            f"{info.name} has no price; say what a server's tokens cost with its options price_in "
            "and price_out (dollars per million tokens), or budget tokens instead of dollars"
        )
