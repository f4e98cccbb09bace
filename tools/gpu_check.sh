#!/bin/sh
# tools/gpu_check.sh [OUT]: all that this project knows to check on a GPU, in at most eight minutes.
#
# Needs a Python ($PYTHON, or python3) with torch, Triton, pytest, typer and rich; no network, no vLLM,
# no installation. Where vLLM is installed too, the embedded engine is checked as well. OUT
# (./gpu_check) gets results.json and tests.xml. With TRITON_INTERPRET=1 and no GPU a small part of
# all of it runs on the CPU. Exits with 0 if nothing failed.
cd "$(dirname "$0")/.." || exit 2
PYTHONPATH=. exec timeout 480 "${PYTHON:-python3}" -u tools/gpu_check.py "${1:-gpu_check}"
