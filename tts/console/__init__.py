"""What every command prints and parses: output, flags, progress, tables."""
