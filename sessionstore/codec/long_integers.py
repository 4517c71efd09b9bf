"""Converts integers of any length to decimal digits and back, whatever limit the process has set for ``int()``."""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from typing import Final

_SHORT_DIGITS: Final = 600
"""Python converts integers of up to 640 digits under every limit (``sys.set_int_max_str_digits``)."""
_SHORT_BITS: Final = 1990  # 2**1990 has 600 digits
# Decimal converts numbers of up to this length at once. The time grows with the square of the length, so a longer
# number is converted in two halves, which are then multiplied: that takes less time.
_WHOLE_DIGITS: Final = 4000
_WHOLE_BITS: Final = 13_300

_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


def digits_of(number: int) -> str:
    """Returns the digits of an integer, with its sign."""
    if number.bit_length() <= _SHORT_BITS:
        return str(number)
    digits = str(_decimal(abs(number)))
    return digits if number > 0 else f"-{digits}"


def integer_of(digits: str) -> int:
    """Returns the integer that consists of these ASCII digits and maybe a minus sign."""
    if len(digits) <= _SHORT_DIGITS:
        return int(digits)
    return -_integer(digits[1:]) if digits[0] == "-" else _integer(digits)


def _decimal(number: int) -> Decimal:
    bits = number.bit_length()
    if bits <= _WHOLE_BITS:
        return Decimal(number)
    half = bits >> 1
    high = number >> half
    return _EXACT.fma(_decimal(high), _power_of_two(half), _decimal(number - (high << half)))


def _power_of_two(exponent: int) -> Decimal:
    if exponent <= _WHOLE_BITS:
        return Decimal(1 << exponent)
    root = _power_of_two(exponent >> 1)
    square = _EXACT.multiply(root, root)
    return _EXACT.add(square, square) if exponent & 1 else square


def _integer(digits: str) -> int:
    if len(digits) <= _WHOLE_DIGITS:
        return int(Decimal(digits))
    half = len(digits) >> 1
    scale: int = 10**half
    return _integer(digits[:-half]) * scale + _integer(digits[-half:])
