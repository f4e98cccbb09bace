"""What all strategies share: validated parameters, and how one is built within another."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tts.errors import PipelineError
from tts.operators.delegate import delegate
from tts.pipeline import Pipeline


class StrategyConfig(BaseModel):
    """A strategy's parameters, as a preset's `parameters:` block writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def asked_of(pipeline: Pipeline, engine: str) -> Pipeline:
    """Return a pipeline that runs on another engine of the run; itself for an empty name."""
    return delegate(pipeline, engine=engine) if engine else pipeline


def build_strategy(name: str, parameters: Mapping[str, Any]) -> Pipeline:
    """Return the pipeline of another strategy.

    Raises:
        PipelineError: No such strategy, or parameters that it does not take.
    """
    try:
        module = import_module(f"tts.strategies.{name}")
        pipeline: Pipeline = module.build(module.Config(**parameters))
    except (ImportError, ValidationError) as error:
        raise PipelineError(f"strategy {name!r} cannot be built: {error}") from error
    return pipeline
