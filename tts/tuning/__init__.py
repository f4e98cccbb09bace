"""Searching over presets and their parameters on problems that no test holds."""
