"""Numbers on the command line, checked where they are typed; a wrong one is named with what would be right."""

import math
from argparse import ArgumentTypeError


def above_zero(text: str) -> float:
    """Reads a finite number above 0."""
    number = _number(text)
    if number <= 0:
        raise ArgumentTypeError(f"{text} is not above 0.")
    return number


def not_below_zero(text: str) -> float:
    """Reads a finite number, 0 or more."""
    number = _number(text)
    if number < 0:
        raise ArgumentTypeError(f"{text} is below 0.")
    return number


def at_least_one(text: str) -> int:
    """Reads a whole number, 1 or more."""
    number = _whole(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is below 1.")
    return number


def port(text: str) -> int:
    """Reads a port that a program may listen on."""
    number = _whole(text)
    if not 1 <= number <= 65535:
        raise ArgumentTypeError(f"{text} is no port; choose one from 1 to 65535.")
    return number


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number.") from None
    if not math.isfinite(number):
        raise ArgumentTypeError(f"{text} is not finite.")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no whole number.") from None
