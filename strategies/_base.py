"""What several strategies share: how a pipeline is asked of another engine of the run."""

from tts.operators.delegate import delegate
from tts.pipeline import Pipeline


def asked_of(pipeline: Pipeline, engine: str) -> Pipeline:
    """Return a pipeline that runs on another engine of the run; itself for an empty name."""
    return delegate(body=pipeline, engine=engine) if engine else pipeline
