"""Files that parameters name: found where presets and verifiers write them, told by content."""

from pathlib import Path

import pytest

from tts.parts.files import digest_of, files_named, with_digests


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("facts.txt", "prm.json", "rebase", "head/head.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_files_are_found_in_nodes_tools_and_verifiers() -> None:
    values = {
        "strategy": "rebase",  # which is no file, whatever lies here
        "parameters": {
            "association": {"name": "facts", "file": "facts.txt", "start": True},
            "verifier": "ensemble(verifiers=[calibrated(verifier=prm, file='prm.json'), rule])",
            "head": ["head(file='head')", "head(file='no such file')", "not (a=verifier)"],
        },
    }
    assert files_named(values).keys() == {"facts.txt", "prm.json", "head"}


def test_digests_stand_in_place_of_names(folder: Path) -> None:
    digest = digest_of(folder / "facts.txt")
    assert digest is not None
    (folder / "copy.txt").write_text("facts.txt")
    found = [
        with_digests(values, files_named(values))
        for name in ("facts.txt", str(folder / "copy.txt"))
        for values in [{"file": name, "verifier": f"evaluator(file={name!r})", "n": 3}]
    ]
    assert (
        found[0]
        == found[1]
        == {
            "file": digest,
            "verifier": f"evaluator(file={digest!r})",
            "n": 3,
        }
    )


def test_names_are_replaced_where_they_are_options_and_nowhere_else(folder: Path) -> None:
    for name in ("a", "e", "d.json"):
        (folder / name).write_text("the same")
    found = {
        with_digests(text, files_named(text))
        for text in ("head(file='a', x='a')", "head(file='e', x='a')", "head(file=d.json,x='a')")
    }
    assert found == {f"head(file={digest_of(Path('a'))!r}, x='a')"}
    several = "ensemble(verifiers=[head(file='a'), calibrated(verifier=prm, file='prm.json')])"
    digests = {"a": "1a", "prm.json": "2a"}
    assert with_digests(several, digests) == (
        "ensemble(verifiers=[head(file='1a'), calibrated(verifier=prm, file='2a')])"
    )


def test_a_folder_is_what_its_files_hold_and_are_called(folder: Path) -> None:
    before = digest_of(folder / "head")
    assert digest_of(Path("head")) == before
    (folder / "head" / "head.safetensors").rename(folder / "head" / "other")
    assert digest_of(folder / "head") != before
    assert digest_of(folder / "nothing") is None
