"""Whether a preset fits a model, said before anything is loaded."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tts import prompts
from tts.engine import host
from tts.engine.build import find_model
from tts.engine.model_files import ModelFiles
from tts.engine.spec import EngineSpec
from tts.errors import ContextError, ModelError
from tts.presets.load import Preset
from tts.types import Message, Problem

_SAMPLE = Problem("sample", "What is 1 + 1?")
_LEAST_TOKENS = 16  # of an answer
_CHARACTERS = 4  # a token, about
logger = logging.getLogger(__name__)


def check_fit(preset: Preset, spec: EngineSpec) -> None:
    """Refuse a preset whose prompts a model cannot read; bundled models are known to.

    Says once that the context is shorter than what the preset may ask for.

    Args:
        preset: What is to be run.
        spec: The engine that samples, embedded.

    Raises:
        ModelError: There is no whole model, it has no chat template, or that refuses the prompt.
        ContextError: Its context is too small for a prompt.
    """
    if spec.model.startswith(import_module("tts.bundled").PREFIX):
        return
    files = find_model(spec.model, spec.options)
    if files is None:  # an id of the hub
        return
    messages = prompts.solve(preset.prompted(_SAMPLE)).messages
    text = _rendered(files, messages, preset.sampling.chat_template_kwargs)
    context = spec.options.get("max_model_len") or files.context_tokens
    if context is None or context < 0:
        return
    least, most = len(text) // _CHARACTERS, preset.sampling.max_tokens
    if context < least + _LEAST_TOKENS:
        raise ContextError(
            f"the context of {files.folder} is {context:,} tokens, too small for the prompts of "
            f"{preset.name}, which take about {least:,} without the problem: raise max_model_len, "
            "or choose a model with a longer context"
        )
    if context < least + most and not preset.sampling.leaves_room:
        logger.warning(
            "the context of %s is %s tokens and sampling.max_tokens %s: samples end where the "
            "context does",
            *(files.folder, f"{context:,}", f"{most:,}"),
        )


def _rendered(
    files: ModelFiles, messages: Sequence[Message], template_kwargs: Mapping[str, Any]
) -> str:
    """Return a prompt as the model's chat template writes it.

    Raises:
        ModelError: There is no template, or it refuses.
    """
    options = dict(template_kwargs)
    template = options.pop("chat_template", None) or files.chat_template()
    if not template:
        raise ModelError(
            f"{files.folder} has no chat template, as base models have none: choose the model that "
            "was tuned to follow instructions, or write one into the preset "
            "(sampling.chat_template_kwargs.chat_template)"
        )
    if find_spec("transformers") is None:
        return ""  # so nothing can be loaded either, which is said where it is tried
    options = {**files.special_tokens(), **options}
    try:
        return _render(template, messages, options)
    except Exception as error:  # jinja's and the template's own, of any class
        told = next(iter(str(error).splitlines()), type(error).__name__)
        reason = f"the chat template of {files.folder} refuses a prompt: {told}"
    without = [message for message in messages if message.role != "system"]
    if len(without) < len(messages):
        with suppress(Exception):
            _render(template, without, options)
            reason += "; without the preset's prompt.system it does not"
    raise ModelError(reason)


def _render(template: str, messages: Sequence[Message], options: Mapping[str, Any]) -> str:
    host.set_defaults()
    with host.quiet():
        library: Any = import_module("transformers.utils.chat_template_utils")
        (text,), _ = library.render_jinja_template(
            [[message.to_mapping() for message in messages]],
            chat_template=template,
            add_generation_prompt=True,
            **options,
        )
    return str(text)
