"""Runs in a browser: a local web application over run folders, and the same as one file."""
