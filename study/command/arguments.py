"""What the values of flags may be: each function reads one from its text, or says what was expected."""

from __future__ import annotations

import argparse
import math

from study.errors import StudyError


def duration(text: str) -> float:
    from study.command.durations import parse_duration

    try:
        return parse_duration(text)
    except StudyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a whole number from 1 on")
    return int(text)


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a number above 0")
    return value


def port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a port from 1 to 65535")
    return int(text)


def seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a whole number from 0 to 2^32 - 1")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected names with commas between, such as mlp,cnn")
    return names
