"""OpenAI-compatible servers: addresses, calls, pace, faults, what each server takes."""
