"""Runs pipelines: tasks, channels, the ledger, the log, admission."""
