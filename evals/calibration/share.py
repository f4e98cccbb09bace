"""Split a run's budget into a mean share per problem, for `auto`."""

from dataclasses import replace

from tts.errors import BudgetError
from tts.presets.load import Preset
from tts.types import Budget


def with_share(preset: Preset, run_budget: Budget | None, size: int) -> Preset:
    """Return `auto` with its share of the run's budget, and any other preset as it is.

    Only where a policy is given, no share or price is, and the run's budget limits what the policy
    counts: generated tokens, or samples. What a forecast was wrong by is made up for while the run
    goes on (`tts.runtime.pace`).

    Args:
        preset: As loaded.
        run_budget: Of the run.
        size: Problems times repeats.

    Raises:
        BudgetError: The budget is in calls and the policy counts tokens, or the other way round.
    """
    if preset.values.get("strategy") != "auto":
        return preset
    # Loads scipy, which presets without a policy do without.
    from tts.strategies.auto import Config, build

    config = preset.config
    if run_budget is None or not isinstance(config, Config) or config.policy is None:
        return preset
    if config.share is not None or config.price is not None:
        return preset
    counts, other = ("tokens", "calls") if config.policy.in_tokens else ("calls", "tokens")
    whole = getattr(run_budget, counts)
    if whole is None:
        if getattr(run_budget, other) is None:
            return preset
        example = "400k" if counts == "tokens" else "2kcalls"
        raise BudgetError(
            f"the policy counts {counts}, and the run's budget of {run_budget} does not; write "
            f"--run-budget {example}, or give `share` or `price`"
        )
    shared = config.model_copy(update={"share": whole / size})
    parameters = {**preset.values["parameters"], "share": shared.share}
    values = {**preset.values, "parameters": parameters}
    return replace(preset, pipeline=build(shared), config=shared, values=values)
