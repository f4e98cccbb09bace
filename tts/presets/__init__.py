"""Presets: a strategy, its parameters, sampling and budget, read from YAML."""
