"""Talking to a model: embedded vLLM, OpenAI-compatible servers, recorded samples."""
