"""`study completion SHELL`: what completes the verbs and flags of the parser in a shell, by shtab."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from study.command.console import print_answer
from study.command.parser import build_parser


def completion(args: argparse.Namespace, command: str, started: float) -> int:
    import shtab

    parser = build_parser()
    for action in _actions(parser):
        if (kind := _files(action)) is not None:
            action.complete = kind  # type: ignore[attr-defined]
    script = shtab.complete(parser, args.shell)
    if args.format == "json":
        print_answer(args.verb, {"shell": args.shell, "script": script})
    else:
        print(script)
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            action.help = "what to do"  # shtab passes over verbs that no list of arguments shows
            for verb in action.choices.values():
                yield from _actions(verb)


def _files(action: argparse.Action) -> Any:
    """What shtab completes: files, folders, or None for neither."""
    import shtab

    words = str(action.metavar or "").split("|")
    if "FILE" in words:
        return shtab.FILE
    return shtab.DIRECTORY if "DIR" in words else None
