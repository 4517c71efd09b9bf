"""`python -m sessionstore`: the command, also where `sessionstore` itself is not on the path."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
