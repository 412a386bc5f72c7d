"""The console script: one verb and its exit status. What a verb needs is imported when it runs."""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import re
import shlex
import sys
import time
from collections.abc import Sequence

from study.command.parser import WrongUsageError, build_parser
from study.errors import Interrupted, ReaderLeftError, StudyError
from study.interrupts import ignore_notices
from study.streams import FORM, steady_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    started = time.monotonic()
    words = list(sys.argv[1:] if argv is None else argv)
    with steady_streams():
        try:
            return _run(words, started)
        finally:
            if argv is None:
                ignore_notices()


def _without_password(command: str) -> str:
    """The command as it may be printed and kept: a storage URL's password is in no file and no log."""
    command = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", command)
    return re.sub(r"(password=)[^&\s']*", r"\1***", command)


def _run(words: list[str], started: float) -> int:
    try:
        try:
            return _command(words, started)
        finally:
            sys.stdout.flush()  # here, so that results that cannot be written are told
    except ReaderLeftError:
        return 1
    except StudyError as error:
        _explain(error, words, hint=error.hint)
        return error.exit_status
    except Exception as error:
        _explain(error, words, hint="--debug shows where")
        return 1


def _command(words: list[str], started: float) -> int:
    parser = build_parser()
    args = parser.parse_args(words)
    if args.version:
        from importlib.metadata import version

        print(f"digit-study {version('digit-study')}")
        return 0
    if args.verb is None:
        parser.print_help()
        return 2
    return _verb(args, words, started)


def _verb(args: argparse.Namespace, words: list[str], started: float) -> int:
    from study.interrupts import catching_signals

    # Libraries make some 200,000 objects that stay; looking through them for garbage at every thousandth took a tenth
    # of the time that loading them takes.
    gc.set_threshold(500_000, 20)
    command = _without_password(shlex.join(["study", *words]))
    try:
        with catching_signals():
            from study.command import verbs as commands

            return commands.VERBS[args.verb](args, command, started)
    except StudyError as error:
        _name_the_study(error, args)
        raise
    except Interrupted as error:
        if args.verb not in ("dashboard", "draw"):  # a signal is how it ends: nothing is cut short
            advice = f"nothing finished is lost; continue with: {command}"
            _explain(error, words, hint=advice)
            if not _wants_json(words):
                print(f"study: {advice}", file=sys.stderr)
        return error.exit_status


def _name_the_study(error: StudyError, args: argparse.Namespace) -> None:
    """What the error advises is said of the study that the flags mean, if they mean one."""
    if not hasattr(args, "name"):
        return
    from study.command.console import files_of
    from study.records.naming import with_its_name

    with contextlib.suppress(StudyError):
        files = files_of(args)
        if files.exists():
            error.args = (with_its_name(str(error), files),)


def _wants_json(words: Sequence[str]) -> bool:
    """Also where the words are wrong usage, of which a parser makes nothing."""
    return "--format=json" in words or ("--format", "json") in itertools.pairwise(words)


def _explain(error: BaseException, words: Sequence[str], hint: str | None) -> None:
    """The last line on standard error."""
    if "--debug" in words:
        import traceback

        traceback.print_exception(error)
    text = " ".join(str(error).split())
    if not isinstance(error, StudyError | Interrupted):
        text = f"{type(error).__name__}: {text}"
    if _wants_json(words):
        print(json.dumps({"form": FORM, "error": text, "hint": hint}), file=sys.stderr)
        return
    program = error.program if isinstance(error, WrongUsageError) else "study"
    unknown = "" if isinstance(error, StudyError | Interrupted) else f" ({hint})"
    print(f"{program}: {text}{unknown}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
