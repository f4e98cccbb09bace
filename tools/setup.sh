#!/bin/sh
# Makes $VENV, installs the pinned packages and this project into it.
#
# The lock pins torch==2.13.0+cpu. Where pip's own configuration offers that wheel (an index or a
# folder of wheels) it is taken from there; otherwise PyTorch's CPU index is added.
set -eu

python=${PYTHON:-python3.11}
venv=${VENV:-.venv}
command -v "$python" >/dev/null 2>&1 || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "set-up needs Python 3.11 (found $("$python" --version)); name it: make setup PYTHON=..." >&2
    exit 1
}

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"

torch=$(sed -n 's/^torch==//p' cpu.lock)
index=""
if ! $pip install --dry-run --no-deps --quiet "torch==$torch" >/dev/null 2>&1; then
    index="--extra-index-url https://download.pytorch.org/whl/cpu"
fi
echo "Installing $(grep -c == cpu.lock) + $(grep -c == dev.lock) pinned packages into $venv ..."
# shellcheck disable=SC2086  # the options are words
$pip install --quiet --no-deps --no-compile $index -r dev.lock 2>&1 |
    grep -v "is ignored: it is neither" || true
# On all cores, which pip's own compilation would not use. Some packages ship files for other
# versions of Python that do not compile.
"$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 || true
$pip install --quiet --no-deps --no-build-isolation --editable . 2>&1 |
    grep -v "is ignored: it is neither" || true
"$venv/bin/python" -c "import torch, vllm, tts" || {
    echo "the installation is incomplete; run: make clean setup" >&2
    exit 1
}
echo "Ready: $venv/bin/tts"
