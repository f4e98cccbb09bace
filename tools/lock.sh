#!/bin/sh
# Makes cpu.lock and dev.lock anew with uv; pins stay where they still satisfy pyproject.toml.
# To move a pin on, delete its line first. uv takes torch's CPU wheel from UV_FIND_LINKS or, where
# that is not set, from PyTorch's index.
set -eu

[ -n "${UV_FIND_LINKS:-}" ] || export UV_INDEX="https://download.pytorch.org/whl/cpu"
compile="uv pip compile pyproject.toml --quiet --python-version 3.11 --no-header --no-annotate"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

$compile --extra cpu --extra evals --extra graphs --overrides tools/overrides.txt --constraints cpu.lock -o "$work/cpu"
grep -v '^triton ' tools/overrides.txt >"$work/overrides"
grep -v '^-r ' dev.lock >"$work/pins"
$compile --extra cpu --extra evals --extra graphs --extra search --extra dev --overrides "$work/overrides" \
    --constraints "$work/cpu" --constraints "$work/pins" -o "$work/all"

mv "$work/cpu" cpu.lock
{
    echo "-r cpu.lock"
    grep -vxFf cpu.lock "$work/all"
} >"$work/dev"
mv "$work/dev" dev.lock
