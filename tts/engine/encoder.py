"""Prompts to token ids, with the model's own tokenizer and chat template."""

import copy
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from tts.engine.chat_template import Thoughts, learn
from tts.engine.own_marks import with_system, without_system
from tts.engine.reflection import Schedule, spellings
from tts.engine.reward_format import RewardFormat
from tts.engine.template_probes import PROBES
from tts.errors import CapabilityError, RefusedError
from tts.types import Completion, Message, Prompt, Reflection
from tts.types.thought import THOUGHT_END

_PROMPTS_REMEMBERED = 4096
_SCHEDULES_REMEMBERED = 16
_TAGS_REMEMBERED = 16
_TEMPLATES_REMEMBERED = 16


def own_copy(tokenizer: Any) -> Any:
    """Return a tokenizer that another thread may use while the first is in use.

    What a use changes lies in the library's Rust object; the tables beside it, of a large
    vocabulary a second's copying, are only read.
    """
    if not hasattr(tokenizer, "_tokenizer"):
        return copy.deepcopy(tokenizer)
    own = copy.copy(tokenizer)
    own._tokenizer = copy.deepcopy(tokenizer._tokenizer)
    return own


class PromptEncoder:
    """Encodes prompts and remembers them: the n samples of a problem share one tokenisation."""

    def __init__(self, tokenizer: Any, reward_format: RewardFormat | None = None) -> None:
        """Take a Hugging Face tokenizer of our own, used by nobody else.

        Args:
            tokenizer: It must not be shared with another thread.
            reward_format: Of a reward model that has one of its own.
        """
        self._tokenizer = tokenizer
        self._reward_format = reward_format
        # Keeps callers in different threads apart: the library forbids concurrent use.
        self._lock = threading.Lock()
        self._remembered = lru_cache(maxsize=_PROMPTS_REMEMBERED)(self._encode)
        self._token_ids = lru_cache(maxsize=_PROMPTS_REMEMBERED)(self._tokenize)
        self._schedules = lru_cache(maxsize=_SCHEDULES_REMEMBERED)(self._schedule)
        self._thoughts = lru_cache(maxsize=_TEMPLATES_REMEMBERED)(self._learn)
        self._divides = lru_cache(maxsize=_TAGS_REMEMBERED)(self._is_divider)

    def encode(
        self, prompt: Prompt, template_kwargs: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[int, ...]:
        """Return the ids to send.

        Args:
            prompt: What to encode.
            template_kwargs: Passed to the chat template, such as `enable_thinking`.

        Raises:
            CapabilityError: The prompt is a chat and the model has no chat template, or it opens or
                skips a thought and the template knows none.
            RefusedError: The chat template refuses the messages.
        """
        return prompt.token_ids or self._remembered(prompt, _as_key(template_kwargs))

    def thoughts(
        self, template_kwargs: Mapping[str, Any] = MappingProxyType({})
    ) -> Thoughts | None:
        """Return how the model writes thoughts; None if its template knows none.

        Args:
            template_kwargs: Passed to the chat template; they can switch thoughts off.
        """
        return self._thoughts(_as_key(template_kwargs))

    def is_special(self, token: str) -> bool:
        """Return whether texts of completions leave a token out."""
        return token in self._tokenizer.all_special_tokens

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text that continues others: without special tokens."""
        return self._token_ids(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens left out."""
        with self._lock:
            text: str = self._tokenizer.decode(
                list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return text

    def special_ids(self) -> list[int]:
        """Return the ids of special tokens, such as those that end a turn."""
        return list(self._tokenizer.all_special_ids)

    def encode_steps(self, prompt: Prompt, tag: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the ids that a reward model reads, and the places in them at which steps end.

        Args:
            prompt: Its prefill holds the steps.
            tag: Stands after each step. A model with a format of its own gets its own tag in place
                of it, after each line of a step; the place of the last one counts.

        Raises:
            CapabilityError: The tag is not one token of the model's vocabulary, or the prompt is a
                chat and the model has no chat template.
            RefusedError: The chat template refuses the messages.
        """
        if self._reward_format is None:
            tag_id = self._token_id(tag)
            ids = self._encode_tagged(prompt, tag) if self._divides(tag) else self.encode(prompt)
            return ids, tuple(place for place, token in enumerate(ids) if token == tag_id)
        own = self._reward_format.tag
        own_id = self._token_id(own)
        *steps, rest = prompt.prefill.split(tag)
        read, places = [*self.encode(replace(prompt, prefill=""))], []
        for step in steps:
            for line in step.split(own):
                read += [*self._token_ids(line), own_id]
            places.append(len(read) - 1)
        return (*read, *self._token_ids(rest)), tuple(places)

    def offsets(self, completion: Completion) -> tuple[int, ...] | None:
        """Return where in its text each token of a completion ends; None if that cannot be told."""
        tokenizer = getattr(self._tokenizer, "backend_tokenizer", None)
        if tokenizer is None:
            return None
        decode_stream = import_module("tokenizers.decoders").DecodeStream
        for skips in (True, False):  # special tokens, which a request may want to be shown
            stream, text = decode_stream(skip_special_tokens=skips), ""
            ends = []
            with self._lock:
                for token_id in completion.token_ids:
                    text += stream.step(tokenizer, token_id) or ""
                    ends.append(min(len(text), len(completion.text)))
            if text.startswith(completion.text):
                return tuple(ends)
        return None

    def _encode_tagged(self, prompt: Prompt, tag: str) -> tuple[int, ...]:
        """Encode step by step, so that of a longer solution only the new step is tokenised."""
        first, *later = prompt.prefill.split(tag)
        ids = [*self.encode(replace(prompt, prefill=first))]
        for step in later:
            ids += [*self._token_ids(tag), *self._token_ids(step)]
        return tuple(ids)

    def _is_divider(self, tag: str) -> bool:
        """Return whether texts beside a tag are tokenised as they are alone.

        An added token is cut out of a text before all else. Some tokenizers then put a space before
        the first piece alone, or let the token take the spaces beside it; the sample finds them.
        """
        if tag not in self._tokenizer.get_added_vocab():
            return False
        sample = ("a ", tag, "b", tag, " c")
        apart = tuple(token for text in sample for token in self._token_ids(text))
        return self._token_ids("".join(sample)) == apart

    def _token_id(self, token: str) -> int:
        ids = self._token_ids(token)
        if len(ids) != 1:
            raise CapabilityError(f"the model's tokenizer does not know {token!r} as one token")
        return ids[0]

    def _tokenize(self, text: str) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def schedule(self, reflection: Reflection) -> Schedule:
        """Return a reflection schedule in this model's tokens.

        Raises:
            CapabilityError: None of its words is one token here.
        """
        return self._schedules(reflection)

    def _schedule(self, reflection: Reflection) -> Schedule:
        with self._lock:
            ids = [[i] for i in range(len(self._tokenizer))]
            vocabulary = self._tokenizer.batch_decode(ids)
        found = spellings(vocabulary, reflection.words)
        if not found:
            words = ", ".join(reflection.words)
            raise CapabilityError(f"the model's tokenizer has none of these as one token: {words}")
        thoughts = self.thoughts()
        end = THOUGHT_END if thoughts is None else thoughts.mark
        return Schedule(reflection, found, self._token_ids(end))

    def _encode(self, prompt: Prompt, template_kwargs: str) -> tuple[int, ...]:
        if prompt.text:
            with self._lock:
                return tuple(self._tokenizer(prompt.text)["input_ids"])
        given = json.loads(template_kwargs) if template_kwargs else {}
        # The template has written the special tokens already.
        return self._tokenize(self._write(prompt, given))

    def _write(self, prompt: Prompt, given: dict[str, Any]) -> str:
        """Return a chat up to the place at which the model goes on."""
        plain = self._render(prompt.messages, given)
        if prompt.thought is None:
            return plain + prompt.prefill
        thoughts = self.thoughts(given)
        if thoughts is None:
            raise CapabilityError(
                "the model's chat template knows no thoughts that could be opened or skipped; "
                "choose a preset that needs none, or a model that thinks"
            )
        begun = thoughts.begin(prompt.thought)
        messages = with_system(prompt.messages, begun.system)
        written = self._render(messages, {**dict(begun.options), **given})
        return written + begun.tail + prompt.prefill

    def _learn(self, template_kwargs: str) -> Thoughts | None:
        given = json.loads(template_kwargs) if template_kwargs else {}
        rendered = {}
        for probe in PROBES:
            with suppress(Exception):  # a template need not take every conversation
                rendered[probe] = self._apply(
                    probe.to_messages(), {**dict(probe.options), **given}, asks=probe.asks
                )
        return learn(rendered)

    def _render(self, asked: Sequence[Message], given: dict[str, Any]) -> str:
        if self._reward_format is not None:
            given["chat_template"] = self._reward_format.template
        if not given.get("chat_template", getattr(self._tokenizer, "chat_template", None)):
            raise CapabilityError(
                "the model has no chat template: send text or token ids in place of messages"
            )
        try:
            return self._apply(_to_dicts(asked), given, asks=True)
        except Exception as error:  # jinja's and the template's own, of any class
            refused = RefusedError(f"the chat template refuses the messages: {error}")
            if not asked or asked[0].role != "system":
                raise refused from error
        try:  # some templates know no system message (Gemma 2)
            return self._apply(_to_dicts(without_system(tuple(asked))), given, asks=True)
        except Exception:
            raise refused from None

    def _apply(self, messages: list[dict[str, Any]], given: dict[str, Any], *, asks: bool) -> str:
        with self._lock:
            rendered: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=asks, **given
            )
        return rendered


def _to_dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.to_mapping() for message in messages]


def _as_key(template_kwargs: Mapping[str, Any]) -> str:
    # Text, because a mapping cannot be remembered by.
    return json.dumps(template_kwargs, sort_keys=True) if template_kwargs else ""
