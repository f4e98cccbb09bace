"""Where the kernels of `interpreted/` run: under Triton's interpreter, or on a CUDA device.

The variable that turns the interpreter on counts when Triton is imported, for the whole process,
and vLLM imports Triton too. So `interpreted/` is collected only where the variable is set already
(`test_interpreted.py` starts such a process), or where there is a device: there its tests are the
`gpu` ones. One of them by hand: `TRITON_INTERPRET=1 pytest tests/kernels/interpreted -k NAME`.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch

IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ON_DEVICE = not IS_INTERPRETED and find_spec("triton") is not None and torch.cuda.is_available()

collect_ignore = [] if IS_INTERPRETED or ON_DEVICE else ["interpreted"]


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the kernels' tests where they run on a device."""
    for item in items:
        if ON_DEVICE and item.path.parent.name == "interpreted":
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make every tensor of a `gpu` test on the device."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    with torch.device("cuda"):
        yield
