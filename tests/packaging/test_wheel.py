"""A wheel is whole from any copy of the tree, and an editable install shows its types."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("evals", "kernels", "strategies", "verifiers")
PARTS = ("tts", *LINKED, "pyproject.toml", "README.md", "LICENSE")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield a folder's own files, sorted; no caches, and nothing behind a link."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and path.name != "__pycache__":
            yield from files_below(path)
        elif path.is_file():
            yield path


def sources() -> list[str]:
    """Return what a wheel has to hold, as it names it."""
    paths = (
        path.relative_to(ROOT) for part in ("tts", *LINKED) for path in files_below(ROOT / part)
    )
    return sorted(str(path if path.parts[0] == "tts" else "tts" / path) for path in paths)


def archive(path: Path, *, links: bool) -> Path:
    """Write the tree as a .zip; a link is its target as text, as where there are no links."""
    with zipfile.ZipFile(path, "w") as file:
        for part in PARTS:
            place = ROOT / part
            for source in files_below(place) if place.is_dir() else [place]:
                file.write(source, source.relative_to(ROOT))
        for name in LINKED if links else ():
            file.writestr(f"tts/{name}", f"../{name}")
    return path


def build(hook: str, tree: Path, out: Path) -> Path:
    """Call a hook of the build backend; offline, with the setuptools that is installed."""
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.{hook}({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made


def held_by(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as file:
        return sorted(name for name in file.namelist() if ".dist-info/" not in name)


Unpacked = Callable[[bool], Path]


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    def unpack(links: bool) -> Path:
        with zipfile.ZipFile(archive(tmp_path / "tree.zip", links=links)) as file:
            file.extractall(tmp_path / "tree")
        return tmp_path / "tree"

    return unpack


def test_every_folder_with_python_files_is_a_package_of_the_wheel() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {Path(name).parent for name in sources() if name.endswith(".py")}
    assert declared["packages"] == sorted(".".join(folder.parts) for folder in folders)
    assert declared["package-dir"] == {f"tts.{name}": name for name in LINKED}


@pytest.mark.slow
@pytest.mark.parametrize("links", [False, True], ids=["without links", "links as text"])
def test_a_wheel_from_an_archive_holds_every_file(
    links: bool, unpacked: Unpacked, tmp_path: Path
) -> None:
    wheel = build("build_wheel", unpacked(links), tmp_path / "wheel")
    assert held_by(wheel) == sources()


@pytest.mark.slow
def test_a_wheel_from_the_source_distribution_works_where_it_is_installed(
    unpacked: Unpacked, tmp_path: Path
) -> None:
    packed = build("build_sdist", unpacked(False), tmp_path / "sdist")
    with tarfile.open(packed) as file:
        file.extractall(tmp_path / "source", filter="data")
    (tree,) = (tmp_path / "source").iterdir()
    wheel = build("build_wheel", tree, tmp_path / "wheel")
    assert held_by(wheel) == sources()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    code = (
        "import tts; from tts import bundled; from tts.parts import catalog;"
        "tts.load_preset('early_stop');"
        "print(tts.__file__, *catalog.names('benchmark'), bundled.resolve('bundled:reasoner'))"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "installed"))
    assert "countdown" in done.stdout


@pytest.mark.slow
def test_an_editable_install_shows_its_types(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in PARTS:
        (copy / part).symlink_to(ROOT / part)
    wheel = build("build_editable", copy, tmp_path / "wheel")
    venv.create(tmp_path / "venv")
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    # The dependencies are those of the interpreter that runs this test.
    (site / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib"))
    user = tmp_path / "user"
    user.mkdir()
    code = (
        "import tts; from tts.strategies.cascade import Config;"
        "reveal_type(tts.solve); reveal_type(Config.__name__)"
    )
    python = str(tmp_path / "venv" / "bin" / "python")
    command = [sys.executable, "-m", "mypy", "--python-executable", python, "-c", code]
    done = subprocess.run(command, cwd=user, capture_output=True, text=True)
    assert 'Revealed type is "def (problem: ' in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout
