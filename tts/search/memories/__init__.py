"""Sources of associative memory: what the steps of a tree search call to mind.

The folder is the registry: `tts/search/memories/<name>.py` holds a `Memory`, which a preset names
as `memory: {name: <name>, ...}`. Those of other packages are named by their dotted path.
"""
