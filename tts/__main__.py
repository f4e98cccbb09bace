"""`python -m tts` is the command `tts`."""

from tts.cli.main import main

if __name__ == "__main__":
    main()
