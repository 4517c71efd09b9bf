"""Reads and prints durations such as ``90s``, ``15m``, ``12h``, ``7d``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

# [0-9], because \d also matches digits of other scripts.
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNITS = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]+)?)s)?")


def parse_duration(text: str) -> timedelta:
    """Returns the duration; a plain number is seconds.

    Raises:
        typer.BadParameter: The text is no duration, or the duration is longer than a timedelta can be.
    """
    try:
        if _PLAIN.fullmatch(text):
            return timedelta(seconds=float(text))
        if text and (parts := _UNITS.fullmatch(text)):
            days, hours, minutes, seconds = (float(part or 0) for part in parts.groups())
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise typer.BadParameter(f"that is too long; give at most {timedelta.max.days:,} days") from None
    raise typer.BadParameter("give a duration such as 90s, 15m, 12h, 7d or 1h30m; a plain number is seconds")


def shown_duration(duration: timedelta) -> str:
    """Formats a duration as parse_duration() reads it."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    shown = "".join(f"{n}{unit}" for n, unit in ((duration.days, "d"), (hours, "h"), (minutes, "m")) if n)
    if duration.microseconds:
        return f"{shown}{seconds}.{duration.microseconds:06}".rstrip("0") + "s"
    return f"{shown}{seconds}s" if seconds or not shown else shown
