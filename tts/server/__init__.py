"""Presets as models of an OpenAI-compatible server: `tts serve`.

`protocol` holds what clients may send, `asked` what becomes of it, `service` runs it on one runtime
for all, `answers`, `forms` and `responses` write what comes back, `exchange` sends it; `keys`,
`guard` and `meters` stand around.
"""
