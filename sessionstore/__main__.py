"""Runs the command as `python -m sessionstore`, for environments whose PATH has no `sessionstore`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
