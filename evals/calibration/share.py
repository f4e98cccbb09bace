"""What a problem may cost on average, told to presets that can use it."""

from pathlib import Path

from tts.allocation.policy_file import load_policy
from tts.presets.load import Preset, load_preset
from tts.types import Budget

SHARED = 0.9  # of the run's budget; the rest is for a forecast that was too low


def with_share(
    preset: Preset, name: str, overrides: tuple[str, ...], run_budget: Budget | None, size: int
) -> Preset:
    """Return `auto` with its share of the run's budget, and any other preset as it is.

    Only where a policy is given, no share or price is, and the run's budget limits what the policy
    counts: generated tokens, or samples. A tenth is kept back: a run that is over its forecast
    would otherwise leave its last problems without a sample.

    Args:
        preset: As loaded.
        name: What it was loaded by.
        overrides: With which it was loaded.
        run_budget: Of the run.
        size: Problems times repeats.
    """
    given = preset.values.get("parameters") or {}
    is_open = preset.values.get("strategy") == "auto" and given.get("policy")
    if run_budget is None or not is_open or {"share", "price"} & given.keys():
        return preset
    in_tokens = load_policy(Path(given["policy"])).in_tokens
    whole = run_budget.tokens if in_tokens else run_budget.calls
    if whole is None:
        return preset
    return load_preset(name, [*overrides, f"share={SHARED * whole / size:g}"])
