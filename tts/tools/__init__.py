"""Tools: what the tasks of a graph that a model plans may call.

The folder is the registry: `tts/tools/<name>.py` holds a `Config` and a `build`, and a preset names
it as `tools: [{name: <name>, ...}]`. Other packages offer theirs as plug-ins do
(`tts.parts.plugins`).
"""
