"""Servers for benchmarks and tests: one of ours that misbehaves, and vLLM's own."""
