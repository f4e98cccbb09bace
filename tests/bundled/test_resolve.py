from pathlib import Path

import pytest

from tts import bundled
from tts.errors import ModelError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    for name in bundled.NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
        (tmp_path / name / "config.json").write_text("{}")
    bundled.write_manifest(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["bundled:draft", "draft"])
def test_whole_model_is_found(weights: Path, name: str) -> None:
    assert bundled.resolve(name, weights=weights) == weights / "draft"


def test_changed_byte_is_named(weights: Path) -> None:
    (weights / "prm" / "model.safetensors").write_bytes(b"prx")
    with pytest.raises(ModelError, match=r"prm/model\.safetensors: corrupt or changed"):
        bundled.resolve("bundled:prm", weights=weights)
    assert bundled.resolve("bundled:draft", weights=weights).is_dir()


def test_missing_file_is_named(weights: Path) -> None:
    (weights / "prm" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"prm/config\.json: cannot be read \(No such file"):
        bundled.resolve("bundled:prm", weights=weights)


def test_missing_and_broken_manifest_are_named(weights: Path) -> None:
    (weights / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match=r"manifest\.json: not JSON"):
        bundled.resolve("bundled:prm", weights=weights)
    (weights / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"manifest\.json: cannot be read"):
        bundled.resolve("bundled:prm", weights=weights)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ModelError, match="no bundled model 'bundled:x'; there are bundled:reason"):
        bundled.resolve("bundled:x")


@pytest.mark.parametrize("name", bundled.NAMES)
def test_shipped_weights_are_whole(name: str) -> None:
    assert (bundled.resolve(name) / "model.safetensors").is_file()


def test_shipped_weights_are_within_forty_megabytes() -> None:
    assert sum(p.stat().st_size for p in bundled.WEIGHTS.rglob("*") if p.is_file()) < 40e6
