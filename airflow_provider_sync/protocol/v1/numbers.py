"""Floating point numbers as text, the way that PHP and MySQL write them.

Both sides must write the same digits: those of PHP in rows on the wire and in the hash of an SQLite table, those of MariaDB in
all other hashes. Zero is always written without a sign.
"""

from __future__ import annotations

import math
from decimal import Decimal

_JSON_DIGITS = 17
_PHP_DIGITS = 14
_FLOAT_DIGITS = 6
_MYSQL_FIXED = 15
"""Maximum places between first digit and point that MariaDB writes without an exponent; a point among the digits needs none."""


def json_float(value: float) -> str:
    """Write a double as PHP's ``json_encode`` does: the fewest digits that read back as the same number.

    ``1.1``, ``100``, ``10000000000000000``, ``1.0e+17``, ``1.0e-5``.

    :raises ValueError: for infinity and NaN, which JSON does not have
    """
    if not math.isfinite(value):
        raise ValueError(f"JSON has no {value}.")
    if not value:
        return "0"
    text = repr(value)
    if "e" not in text:
        # Python and PHP agree wherever Python writes no exponent.
        return text.removesuffix(".0")
    return _php(*_split(text), _JSON_DIGITS, "e")


def php_float(value: float) -> str:
    """Write a double as PHP turns it into a string: 14 significant digits.

    ``0.3``, ``3``, ``1.0E+15``, ``INF``.
    """
    if not math.isfinite(value):
        return "NAN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    if not value:
        return "0"
    text = f"{value:.{_PHP_DIGITS}G}"
    if "E" not in text:
        # Python and PHP agree wherever Python writes no exponent.
        return text
    return _php(*_split(f"{value:.{_PHP_DIGITS - 1}e}"), _PHP_DIGITS, "E")


def mysql_double(value: float) -> str:
    """Write a DOUBLE as MariaDB turns it into a string: the fewest digits that read back as the same number.

    ``1.1``, ``100000000000000``, ``1e15``, ``9.007199254740992e15``, ``0.00001``, ``5e-324``.
    """
    if not value:
        return "0"
    text = repr(value)
    if "e" not in text and -1e15 < value < 1e15:
        # Python and MariaDB agree in the range where neither writes an exponent.
        return text.removesuffix(".0")
    return _mysql(text)


def mysql_float(value: float) -> str:
    """Write a FLOAT as MariaDB turns it into a string: 6 significant digits.

    ``1.1``, ``16777200``, ``1e15``.
    """
    return _mysql(f"{value:.{_FLOAT_DIGITS - 1}e}") if value else "0"


def fixed_float(value: float, decimals: int) -> str:
    """Write a number as MariaDB shows a column ``DOUBLE(M,D)`` or ``FLOAT(M,D)``: with all its decimals.

    Digits beyond those that distinguish the number from its neighbours are zeros: ``19915451807969.130``.

    :param decimals: the D of the column
    """
    if not value:
        return f"{0:.{decimals}f}"
    shortest = Decimal(repr(value))
    if int(shortest.as_tuple().exponent) >= -decimals:
        return f"{shortest:.{decimals}f}"
    return f"{value:.{decimals}f}"


def _split(text: str) -> tuple[str, str, int]:
    """Split Python's text of a finite number into its sign, its significant digits, and the decimal point's place among them."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) - (len(whole + fraction) - len(digits)) + int(exponent or 0)
    return sign, digits.rstrip("0"), point


def _php(sign: str, digits: str, point: int, precision: int, mark: str) -> str:
    if point > precision or point < -3:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}{mark}{point - 1:+d}"
    return sign + _fixed(digits, point)


def _mysql(text: str) -> str:
    sign, digits, point = _split(text)
    if (point > _MYSQL_FIXED and point >= len(digits)) or point <= -_MYSQL_FIXED:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{point - 1}"
    return sign + _fixed(digits, point)


def _fixed(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"
