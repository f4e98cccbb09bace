"""Split a run's budget into a mean share per problem, for `auto`."""

from collections.abc import Mapping
from dataclasses import replace

from tts.errors import BudgetError
from tts.presets.load import Preset
from tts.types import Budget
from tts.types.figures import Counted

_EXAMPLES: Mapping[Counted, str] = {
    "tokens": "400k",
    "calls": "2kcalls",
    "flops": "2e15flops",
    "eflops": "2e15eflops",
    "usd": "$2",
}


def how_to_share(unit: Counted) -> str:
    """Return the options that tell `auto` what a problem may cost.

    Time is not shared out of a run's: problems in flight take the same seconds.
    """
    if unit in _EXAMPLES:
        return f"--run-budget {_EXAMPLES[unit]}"
    return f"--set share={'2.5' if unit == 'seconds' else '400'} (a problem's {unit})"


def with_share(preset: Preset, run_budget: Budget | None, size: int) -> Preset:
    """Return `auto` with its share of the run's budget, and any other preset as it is.

    Only where a policy is given, no share or price is, and the run's budget limits what can be
    shared out; a deadline is none of that. What a forecast was wrong by is made up for while the
    run goes on (`tts.runtime.pace`).

    Args:
        preset: As loaded.
        run_budget: Of the run.
        size: Problems times repeats.

    Raises:
        BudgetError: The budget is in another unit than the policy.
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
    unit = config.policy.unit
    given = {name: whole for name in _EXAMPLES if (whole := getattr(run_budget, name)) is not None}
    if not given:
        return preset
    if unit not in given:
        raise BudgetError(
            f"the policy counts {unit}, and the run's budget of {run_budget} does not; write "
            f"{how_to_share(unit)}, or calibrate with --unit {next(iter(given))}"
        )
    shared = config.model_copy(update={"share": given[unit] / size})
    parameters = {**preset.values["parameters"], "share": shared.share}
    values = {**preset.values, "parameters": parameters}
    return replace(preset, pipeline=build(shared), config=shared, values=values)
