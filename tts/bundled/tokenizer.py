"""The small tokenizer: byte-level BPE whose merges may span words, but never digits or steps."""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 1024
ALONE = r"\n\n|\n|[0-9]"
PAD = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
STEP_TAG = "<extra_0>"
SPECIAL = (PAD, TURN_START, TURN_END, STEP_TAG)
THINK = ("<think>", "</think>")

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}"
    "{%- if enable_thinking is defined -%}"
    "{{- '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' -}}"
    "{%- endif -%}{%- endif -%}"
)


def build_tokenizer(
    texts: Iterable[str],
    *,
    vocabulary: int = VOCABULARY,
    alone: str = ALONE,
    phrases: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """Train a tokenizer on rendered examples.

    Args:
        texts: With their marks of turns.
        vocabulary: Number of tokens.
        alone: Matches what no merge goes beyond; a match is one token if it is frequent enough.
        phrases: Texts that are single tokens wherever they stand, the longest of several.
    """
    whole = [AddedToken(text, special=False, normalized=False) for text in (*THINK, *phrases)]
    between = re.compile("|".join(map(re.escape, sorted(phrases, key=len, reverse=True))))
    if phrases:
        texts = (part for text in texts for part in between.split(text))
    tokenizer = Tokenizer(models.BPE())
    # Phrases of the generated problems become single tokens: training costs time by the token.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(alone), "isolated"),
            pre_tokenizers.Split(Regex(r"[.?!:;,] "), "merged_with_previous"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[
            *(AddedToken(token, special=True, normalized=False) for token in SPECIAL),
            *whole,
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = _plain(tokenizer, {token.content for token in whole})
    build: Any = PreTrainedTokenizerFast  # its constructor is untyped
    built: PreTrainedTokenizerFast = build(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[TURN_START, STEP_TAG],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=16384,
    )
    return built


def _plain(tokenizer: Tokenizer, texts: Collection[str]) -> Tokenizer:
    """Return a tokenizer in which these are parts of texts; training makes all its own special."""
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] &= token["content"] not in texts
    return Tokenizer.from_str(json.dumps(state))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer saved in `folder`."""
    loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded
