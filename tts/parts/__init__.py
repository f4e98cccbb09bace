"""Parts that presets name: found by the catalogue, checked, built; those of other packages too."""
