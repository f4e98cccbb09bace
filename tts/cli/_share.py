"""What a problem may cost on average, told to presets that can use it."""

from pathlib import Path

from tts.budget.policy import load_policy
from tts.presets import Preset, load_preset
from tts.types import Budget


def with_share(
    preset: Preset, name: str, overrides: tuple[str, ...], run_budget: Budget | None, size: int
) -> Preset:
    """Return `auto` with its share of the run's budget, and any other preset as it is.

    Only where a policy is given, no share or price is, and the run's budget limits what the policy
    counts: generated tokens, or samples.

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
    return preset if whole is None else load_preset(name, [*overrides, f"share={whole / size:g}"])
