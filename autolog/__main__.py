"""`python -m autolog …` is `autolog …`."""

from autolog.cli import main

if __name__ == "__main__":
    main()
