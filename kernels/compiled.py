"""Compile kernels for a card that is not there, and read off what they would cost.

`ptxas` and `cuobjdump` ship with Triton, so registers, shared memory, spills and instructions of an
sm_90 binary are facts on any Linux machine. Which configurations ship is in `shipped`; run
`python -m tts.kernels.compiled` for the table as JSON. Needs a process without TRITON_INTERPRET.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tts.kernels.launch import Launch, is_interpreted
from tts.kernels.shipped import shipped_launches

HOPPER = 90
# Of one multiprocessor of sm_90.
REGISTERS_PER_SM = 65_536
MAX_SHARED_BYTES = 232_448
SHARED_BYTES_PER_SM = 233_472
MAX_THREADS_PER_SM = 2_048
# HGMMA: warp-group matrix product; HMMA: warp matrix product; LDGSTS.128: 16-byte asynchronous
# copies to shared memory; LDG.128: 16-byte loads; LDL, STL: spills.
INSTRUCTIONS = {
    "HGMMA": r"\bHGMMA\.",
    "HMMA": r"\bHMMA\.",
    "LDGSTS.128": r"\bLDGSTS\.[\w.]*128",
    "LDG.128": r"\bLDG\.[\w.]*128",
    "LDL": r"\bLDL\b",
    "STL": r"\bSTL\b",
}
_TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.bool: "i1",
}


@dataclass(frozen=True, slots=True)
class CompiledKernel:
    """One kernel in one shipped configuration, compiled for sm_90.

    Attributes:
        kernel: Name of the kernel.
        configuration: What it was compiled for, in words.
        threads: Threads per program.
        registers: Per thread; 255 is the most.
        shared_bytes: Shared memory per program.
        local_bytes: Local memory per thread: anything above 0 is spilled registers.
        programs_per_sm: How many fit on a multiprocessor, by registers, shared memory and threads.
        instructions: How often the instructions of `INSTRUCTIONS` occur.
    """

    kernel: str
    configuration: str
    threads: int
    registers: int
    shared_bytes: int
    local_bytes: int
    programs_per_sm: int
    instructions: Mapping[str, int]


def missing_tools() -> str | None:
    """Return why nothing can be compiled here, or None if it can."""
    if is_interpreted():
        return "TRITON_INTERPRET is set: start a process without it"
    for name in ("ptxas", "cuobjdump"):
        if _tool(name) is None:
            return f"{name} is neither in the triton package nor on the PATH"
    return None


def compile_table() -> list[CompiledKernel]:
    """Compile every shipped configuration; about a second each, nothing where Triton cached it.

    Raises:
        RuntimeError: The tools are missing or Triton is interpreted, see `missing_tools`.
    """
    reason = missing_tools()
    if reason is not None:
        raise RuntimeError(f"kernels cannot be compiled: {reason}")
    return list(_compile_once(shipped_launches()))


def _compile_once(
    launches: Iterable[tuple[str, Launch]],
) -> Iterator[CompiledKernel]:
    """Compile launches, skipping those whose binary an earlier one already needed."""
    seen: set[tuple[object, ...]] = set()
    for configuration, launch in launches:
        signature, constants, attributes = _specialise(launch)
        key = (launch.kernel, str(signature), str(constants), str(attributes), launch.tiling)
        if key not in seen:
            seen.add(key)
            source = ASTSource(launch.kernel, signature, constants, attributes)
            yield _compile(launch, configuration, source)


def _specialise(launch: Launch) -> tuple[dict[str, str], dict[str, Any], dict[Any, Any]]:
    """Return signature, constants and alignment, as Triton derives them from a real launch."""
    names = launch.kernel.arg_names
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[Any, Any] = {}
    aligned = [["tt.divisibility", 16]]
    for i, (name, value) in enumerate(zip(names, launch.arguments, strict=False)):
        if isinstance(value, Tensor):
            signature[name] = f"*{_TYPES[value.dtype]}"
            attributes[(i,)] = aligned
        elif isinstance(value, float):
            signature[name] = "fp32"
        elif value == 1:
            signature[name], constants[name] = "constexpr", 1
        else:
            signature[name] = "i32" if -(2**31) <= value < 2**31 else "i64"
            if value % 16 == 0:
                attributes[(i,)] = aligned
    for name, value in launch.constants.items():
        signature[name], constants[name] = "constexpr", value
    return {name: signature[name] for name in names}, constants, attributes


def _compile(launch: Launch, configuration: str, source: ASTSource) -> CompiledKernel:
    tiling = launch.tiling
    binary = triton.compile(
        source,
        target=GPUTarget("cuda", HOPPER, 32),
        options={"num_warps": tiling.num_warps, "num_stages": tiling.num_stages},
    )
    text = _disassemble(binary.asm["cubin"])
    usage = {key: int(value) for key, value in re.findall(r"(REG|LOCAL|STACK):(\d+)", text)}
    threads = 32 * tiling.num_warps
    shared = int(binary.metadata.shared)
    return CompiledKernel(
        kernel=launch.kernel.__name__,
        configuration=configuration,
        threads=threads,
        registers=usage["REG"],
        shared_bytes=shared,
        local_bytes=max(usage.get("LOCAL", 0), usage.get("STACK", 0)),
        programs_per_sm=_programs_per_sm(threads, usage["REG"], shared),
        instructions={
            name: len(re.findall(pattern, text)) for name, pattern in INSTRUCTIONS.items()
        },
    )


def _programs_per_sm(threads: int, registers: int, shared_bytes: int) -> int:
    """Return how many programs fit: registers come in eights, 1 KiB of shared memory is kept."""
    by_registers = REGISTERS_PER_SM // (-(-registers // 8) * 8 * threads)
    by_shared = SHARED_BYTES_PER_SM // (shared_bytes + 1024)
    return min(by_registers, by_shared, MAX_THREADS_PER_SM // threads, 32)


def _disassemble(cubin: bytes) -> str:
    tool = _tool("cuobjdump")
    if tool is None:
        raise RuntimeError("cuobjdump disappeared")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        command = [tool, "-res-usage", "-sass", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _tool(name: str) -> str | None:
    shipped = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return str(shipped) if shipped.exists() else shutil.which(name)


def main() -> None:
    """Write the table to standard output as a JSON list, or say why there is none and exit 1."""
    reason = missing_tools()
    if reason is not None:
        sys.exit(f"kernels cannot be compiled: {reason}")
    json.dump([asdict(row) for row in compile_table()], sys.stdout)


if __name__ == "__main__":
    main()
