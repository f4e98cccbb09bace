#!/bin/sh
# Makes $VENV, installs the pinned packages and this project into it; says how far it is.
#
# The lock pins torch==2.13.0+cpu. Where pip's own configuration offers that wheel (an index or a
# folder of wheels) it is taken from there; otherwise PyTorch's CPU index is added.
set -eu

python=${PYTHON:-python3.11}
venv=${VENV:-.venv}
begun=$(date +%s)
command -v "$python" >/dev/null 2>&1 || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "set-up needs Python 3.11 (found $("$python" --version)); name it: make setup PYTHON=..." >&2
    exit 1
}

say() {
    echo "[$(($(date +%s) - begun)) s] $*"
}

# Runs a command, and says every 20 seconds that it is still at work.
watched() {
    "$@" &
    work=$!
    trap 'kill "$work" 2>/dev/null' INT TERM
    waited=0
    while kill -0 "$work" 2>/dev/null; do
        sleep 1
        waited=$((waited + 1))
        [ $((waited % 20)) -ne 0 ] || say "    ... $(du -sm "$venv" | cut -f1) MB in $venv"
    done
    wait "$work"
}

install() {
    # The note is of folders of wheels that hold nothing of that name.
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps "$@" \
        2>"$venv/pip.log" || { cat "$venv/pip.log" >&2; return 1; }
    grep -v "is ignored: it is neither" "$venv/pip.log" >&2 || true
}

[ -x "$venv/bin/python" ] || {
    say "1/4 a virtual environment in $venv, with $("$python" --version)"
    "$python" -m venv "$venv"
}

torch=$(sed -n 's/^torch==//p' cpu.lock)
set -- -r dev.lock
if ! "$venv/bin/python" -m pip install --dry-run --no-deps --quiet "torch==$torch" >/dev/null 2>&1
then
    set -- --extra-index-url https://download.pytorch.org/whl/cpu "$@"
fi
packages=$(($(grep -c == cpu.lock) + $(grep -c == dev.lock)))
say "2/4 $packages pinned packages: about 3.6 GB on disk"
watched install --no-compile "$@"

# On all cores, which pip's own compilation would not use. Some packages ship files for other
# versions of Python that do not compile.
say "3/4 compiling them on all cores: about 0.4 GB more"
watched "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 || true

say "4/4 this project, so that edits take effect at once"
install --no-build-isolation --editable .
"$venv/bin/python" -c "import torch, vllm, tts" || {
    echo "the installation is incomplete; run: make clean setup" >&2
    exit 1
}
say "Ready: $venv/bin/tts, $(du -sm "$venv" | cut -f1) MB"
