"""Sources of associative memory: what the steps of a tree search call to mind.

The folder is the registry: `tts/search/memories/<name>.py` holds a `Config` and a `build`, and a
preset names it as `memory: {name: <name>, ...}`. Other packages offer theirs as plug-ins do
(`tts.parts.plugins`).
"""
