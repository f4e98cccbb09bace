"""What the commands of `train.py` do."""

import argparse
import json
import logging
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tts import prompts
from tts.bundled import search_traces, spawn_traces, write_manifest
from tts.bundled.checkpoint import export_model, save_tokenizer
from tts.bundled.corpus import (
    FIRST,
    LATER,
    ONLY_SOLVE,
    Example,
    examples,
    load_tried,
    tried_task,
    write_corpus,
    write_tried,
)
from tts.bundled.evaluate import measure
from tts.bundled.language import Onward, Plan, Stream, encode, pad, train_language_model
from tts.bundled.models import (
    draft_config,
    policy_config,
    prm_config,
    searcher_config,
    spawner_config,
)
from tts.bundled.prm import (
    RewardModel,
    RewardPlan,
    export_reward_model,
    load_reward_weights,
    recover,
    train_reward_model,
)
from tts.bundled.prm_start import start_from_policy
from tts.bundled.sampling import Sampler
from tts.bundled.tokenizer import build_tokenizer, load_tokenizer

log = logging.getLogger(__name__)


def make_corpus(options: argparse.Namespace) -> None:
    """Write examples to look at."""
    write_corpus(options.lab / "corpus.jsonl", options.problems or 20_000, options.seed)


def make_tokenizer(options: argparse.Namespace) -> None:
    """Train the tokenizer; its seed is fixed, so that it stays the same."""
    tokenizer = build_tokenizer(e.prompt + e.response for e in islice(examples(0, LATER), 12_000))
    save_tokenizer(tokenizer, options.lab / "tokenizer")


def train_policy(options: argparse.Namespace) -> None:
    """Train policy or draft model, exporting at each checkpoint."""
    is_policy = options.command == "policy"
    tokenizer = load_tokenizer(options.lab / "tokenizer")
    tried = load_tried(options.lab / "tried.jsonl") if is_policy else ()

    def stream(start: int, done: float) -> Iterator[Example]:
        late = LATER if done > 0.5 else FIRST
        weights = late if is_policy else ONLY_SOLVE
        share = options.chain_share
        return examples(options.seed, weights, start=start, chain_share=share, tried=tried)

    config = (policy_config if is_policy else draft_config)(len(tokenizer), token_ids(tokenizer))
    _train(options, config, tokenizer, stream, "reasoner" if is_policy else "draft")


def train_searcher(options: argparse.Namespace) -> None:
    """Train one of the two models of `tts bench crossover`; both have one tokenizer."""
    texts = islice(search_traces.tokenizer_texts(), 4000)
    tokenizer = build_tokenizer(
        texts, vocabulary=search_traces.VOCABULARY, alone=search_traces.ALONE
    )

    def stream(start: int, done: float) -> Iterator[Example]:
        return search_traces.examples(options.command, options.seed, start=start)

    config = searcher_config(len(tokenizer), token_ids(tokenizer))
    _train(options, config, tokenizer, stream, options.command)


def train_spawner(options: argparse.Namespace) -> None:
    """Train the model that spawns searches, or its serial twin; they do not ship."""
    writing = options.command
    tokenizer = build_tokenizer(
        islice(spawn_traces.tokenizer_texts(), 4000),
        vocabulary=spawn_traces.VOCABULARY,
        alone=spawn_traces.ALONE,
        phrases=spawn_traces.PHRASES,
    )
    onward = Onward(lambda: spawn_traces.examples(writing, options.seed))

    def stream(start: int, done: float) -> Iterator[Example]:
        return onward.at(start)

    config = spawner_config(len(tokenizer), token_ids(tokenizer))
    _train(options, config, tokenizer, stream, writing)


def _train(
    options: argparse.Namespace,
    config: Qwen3Config,
    tokenizer: PreTrainedTokenizerFast,
    stream: Stream,
    name: str,
) -> None:
    torch.set_num_threads(options.threads)

    def export(model: Qwen3ForCausalLM) -> None:
        export_model(model, tokenizer, options.weights / name)
        write_manifest(options.weights)

    train_language_model(
        config,
        tokenizer,
        options.lab / options.command,
        Plan(
            minutes=options.minutes,
            tokens=options.tokens,
            batch_tokens=options.batch_tokens,
            lr=options.lr or 0.02,
            seed=options.seed,
        ),
        stream=stream,
        device="cuda" if torch.cuda.is_available() else "cpu",
        on_save=export,
    )


def make_tried(options: argparse.Namespace) -> None:
    """Let the policy try training problems; its next training learns to judge and mend these."""
    tasks = [tried_task(index) for index in range(options.problems or 3000)]
    sampler = Sampler(options.weights / "reasoner", max_tokens=256, seed=options.seed)
    rows = sampler.sample([prompts.solve(t.problem) for t in tasks], n=options.samples or 8)
    write_tried(options.lab / "tried.jsonl", [[s.text for s in row] for row in rows])


def train_prm(options: argparse.Namespace) -> None:
    """Train the process reward model, starting from the policy's weights."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = load_tokenizer(options.weights / "reasoner")
    model = RewardModel(prm_config(len(tokenizer), token_ids(tokenizer)))
    plan = RewardPlan(
        minutes=options.minutes,
        batch_tokens=options.batch_tokens,
        lr=options.lr or 0.01,
        seed=options.seed,
    )
    if options.resume:
        load_reward_weights(model, options.weights / "prm")
    else:
        (newline,) = tokenizer("\n\n")["input_ids"]
        (tag,) = tokenizer(prompts.STEP_TAG)["input_ids"]
        policy = Qwen3ForCausalLM.from_pretrained(options.weights / "reasoner", dtype=torch.float32)
        texts = encode(tokenizer, list(islice(examples(options.seed, ONLY_SOLVE), 64)))
        start_from_policy(model.model, policy, pad(texts, 0)[0], tag, newline)
        recover(model, tokenizer, plan)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    tried = load_tried(options.lab / "tried.jsonl")
    train_reward_model(model, tokenizer, tried, plan)
    export_reward_model(model, tokenizer, options.weights / "prm")
    write_manifest(options.weights)


def report(options: argparse.Namespace) -> None:
    """Measure one part."""
    figures = measure(
        options.part,
        options.lab,
        options.weights,
        options.split,
        options.problems or 200,
        options.samples or 64,
    )
    log.info("%s", json.dumps(figures, indent=2))


def token_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Return the ids that a config names."""
    eos, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    assert isinstance(eos, int) and isinstance(padding, int), "single tokens"
    return {"eos": eos, "pad": padding}


JOBS: dict[str, Callable[[argparse.Namespace], None]] = {
    "corpus": make_corpus,
    "tokenizer": make_tokenizer,
    "policy": train_policy,
    "draft": train_policy,
    "direct": train_searcher,
    "dfs": train_searcher,
    "spawn": train_spawner,
    "serial": train_spawner,
    "try": make_tried,
    "prm": train_prm,
    "report": report,
}
