"""A preset that a model cannot run is refused before anything is loaded."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import write_model
from tts.engine.spec import EngineSpec
from tts.errors import ContextError, ModelError
from tts.presets.load import load_preset
from tts.session.fit import check_fit
from tts.session.runtime import Runtime

pytest.importorskip("transformers")

NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{{ m.content }}{% endfor %}"
)


def check(folder: Path, *overrides: str, **options: Any) -> None:
    check_fit(load_preset("single", overrides), EngineSpec.parse(str(folder), options))


def test_a_model_that_fits_is_not_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(write_model(tmp_path / "m"))
    assert not caplog.records
    check_fit(load_preset("single"), EngineSpec.parse("bundled:reasoner"))
    check_fit(load_preset("single"), EngineSpec.parse("Qwen/Qwen3-8B"))


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", template="")
    with pytest.raises(ModelError, match=r"has no chat template, as base models have none"):
        check(folder)
    check(folder, "sampling.chat_template_kwargs={chat_template: '{{ messages[0].content }}'}")
    with pytest.raises(ModelError, match="no chat template"):
        Runtime(str(folder)).run_many("single", ["What is 7 * 8?"])


def test_a_template_that_raises_says_what_it_says(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", template="{{ raise_exception('no turn\nmore') }}")
    with pytest.raises(ModelError, match=r"m refuses a prompt: no turn$"):
        check(folder)
    broken = write_model(tmp_path / "b", template="{% if %}")
    with pytest.raises(ModelError, match="b refuses a prompt: "):
        check(broken)


def test_a_template_without_a_system_role_takes_presets_without_one(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", template=NO_SYSTEM)
    check(folder)
    with pytest.raises(ModelError, match=r"System role not supported; without .* prompt\.system"):
        check(folder, "prompt={system: Be brief.}")


def test_a_context_that_is_too_small_is_refused_and_a_short_one_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ContextError, match=r"is 32 tokens, too small for the prompts of single"):
        check(write_model(tmp_path / "tiny", max_position_embeddings=32))
    folder = write_model(tmp_path / "m")
    with pytest.raises(ContextError, match="is 20 tokens"):
        check(folder, max_model_len=20)
    with caplog.at_level(logging.WARNING):
        check(folder, "sampling.max_tokens=4096")
    assert "samples end where the context does" in caplog.text
