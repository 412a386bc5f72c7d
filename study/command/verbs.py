"""What the verbs of a study do: call the stages, print results on stdout, say the rest on stderr."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.command import tools
from study.command.console import existing_files, print_json, print_rows
from study.errors import UsageError
from study.records.locking import lock_holder
from study.records.naming import with_its_name
from study.records.paths import StudyFiles

if TYPE_CHECKING:
    from study.stages.request import Request

Verb = Callable[[argparse.Namespace, str, float], int]


# --- the stages ----------------------------------------------------------------------------------------------------


def _request(args: argparse.Namespace, command: str, started: float) -> Request:
    from study.stages.request import Request

    opens_test = args.verb == "evaluate" or (args.verb == "run" and not args.no_evaluate)
    request = Request(
        command=command,
        started=started,
        name=args.name,
        results=args.results,
        dataset=args.dataset,
        data_dir=args.data_dir,
        spaces=tuple(args.space),
        families=args.families,
        single_family=args.single_family,
        budget=args.budget,
        n_trials=args.n_trials,
        seed=args.seed,
        split_seed=args.split_seed,
        sampler=args.sampler,
        pruner=args.pruner,
        warm_start=not args.no_warm_start,
        given=tuple(args.given or ()),
        imported_from=args.imported_from,
        workers=args.workers,
        device=args.device,
        storage=args.storage,
        repeats=getattr(args, "repeats", None),
        opens_test=opens_test,
        goes_without_test=args.verb == "run",
        counted=not getattr(args, "uncounted", False),
    )
    request.check(args.verb)
    return request


@contextlib.contextmanager
def _stages(args: argparse.Namespace, command: str, started: float, *, workers: bool = True) -> Iterator[Any]:
    from study.execution.processes import start_server

    request = _request(args, command, started)
    if workers:
        start_server()  # it loads torch for the workers while the next lines load it here
    from study.command.progress import Reporter
    from study.stages.all import open_stages
    from study.stages.neighbours import crowding
    from study.stages.session import open_session

    reporter = Reporter(args.quiet)
    with open_session(request) as session:
        for warning in session.warnings:
            reporter.say(f"note: {warning}")
        try:
            with open_stages(session, reporter) as stages:
                if workers and (crowd := crowding(session.files, session.n_workers)):
                    reporter.say(f"note: {crowd}")
                reporter.say(f"families: {', '.join(session.families)}")
                yield stages
        finally:
            reporter.end()
            session.ledger.save()


def _dashboard_command(args: argparse.Namespace, files: StudyFiles) -> str:
    words = ["study", "dashboard", "--name", files.name]
    if args.results != Path("results"):
        words += ["--results", str(args.results)]
    return shlex.join(words)


def run(args: argparse.Namespace, command: str, started: float) -> int:
    from study.stages.request import check_port

    if args.dry_run:
        return _dry_run(args, command, started)
    if args.format != "table":
        raise UsageError(f"--format {args.format} is of the plan that --dry-run prints: add it, or leave --format out")
    if args.dashboard:
        check_port(args.port)
    with contextlib.ExitStack() as along:
        with _stages(args, command, started) as stages:
            files, say = stages.session.files, stages.progress.say
            _say_where(args, files, say)
            if args.dashboard:
                stages.find_database()
                along.enter_context(_dashboard_along(args, files))
            if (settled := stages.settle_for_what_helps()) is not None:
                say(f"note: {settled}")
            evaluate = not (args.no_evaluate or stages.session.settings.dataset.lacks_test)
            if stages.is_complete(evaluate=evaluate):
                stages.session.ledger.charge_nothing()
                say("this study is complete; a larger --budget or --n-trials, or one more of --families, continues it")
            else:
                warnings = [stages.no_verdict(), stages.may_open_again()] if evaluate else []
                for warning in filter(None, warnings):
                    say(f"note: {warning}")
                stages.run_all(evaluate=evaluate)
        _print_summary(files)
        print(f"dashboard: {_dashboard_command(args, files)}", flush=True)
    return 0


def _dry_run(args: argparse.Namespace, command: str, started: float) -> int:
    request = _request(args, command, started)
    from study.command.dry_run import print_plan
    from study.command.progress import Reporter
    from study.stages.all import open_stages
    from study.stages.dry_run import dry_run
    from study.stages.session import preview_session

    with open_stages(preview_session(request), Reporter(args.quiet)) as stages:
        evaluate = not (args.no_evaluate or stages.session.settings.dataset.lacks_test)
        plan = dry_run(stages, evaluate=evaluate)
    print_plan(plan, args.format)
    return 0


def _say_where(args: argparse.Namespace, files: StudyFiles, say: Callable[[str], None]) -> None:
    address = f"http://127.0.0.1:{args.port}"
    say(f"study '{files.name}' in {files.root}")
    if args.dashboard:
        say(f"watch it: {address}")
    else:
        say(f"watch it: {_dashboard_command(args, files)}  ({address})")


def _dashboard_along(args: argparse.Namespace, files: StudyFiles) -> contextlib.AbstractContextManager[None]:
    """A dashboard from the moment that there is something to show."""
    from study.command.along import dashboard_along
    from study.records.settings import load_settings

    words = [sys.executable, "-m", "study", "dashboard", "--name", files.name, "--results", str(args.results)]
    words += ["--port", str(args.port), "--quiet", "--until-stdin-ends"]
    words += ["--storage", args.storage] if args.storage else []

    def ready() -> bool:
        return files.exists() and (
            files.database.exists() or bool(args.storage) or load_settings(files.settings).storage is not None
        )

    return dashboard_along(words, f"http://127.0.0.1:{args.port}", _dashboard_command(args, files), ready)


def _print_summary(files: StudyFiles) -> None:
    from study.records.files import read_json
    from study.records.paths import EARLIER_EXPORT, EXPORT

    if files.report_json.exists():
        found = read_json(files.report_json)
        for line in (found["findings"]["answer"], found["answer"]["best_trial_sentence"]):
            if line:
                print(with_its_name(line, files))
    if files.report_html.exists():
        print(f"report: {files.report_html}")
    earlier = files.model / EARLIER_EXPORT
    if earlier.exists() and not (files.model / EXPORT).exists():
        print(
            f"{earlier} is of an earlier network: `study export --name {files.name}` exports the one that is there now"
        )


def search(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started) as stages:
        stages.search()
        files = stages.session.files
    return _print_status(files, args)


def retrain(args: argparse.Namespace, command: str, started: float) -> int:
    from study.records.finalists import choose

    with _stages(args, command, started) as stages:
        stages.retrain()
        searches = stages.finalists()
    for number, finalists in enumerate(searches, 1):
        search = f"search {number}, " if len(searches) > 1 else ""
        for family, row in finalists.families.items():
            best = row.chosen
            score = f"fresh-seed validation {100 * best.mean_accuracy:.2f} %" if best else "no candidate ended well"
            print(f"{search}{family}: finalist #{row.finalist}, {score}, {len(row.final_runs)} final runs")
    print(f"winner by validation: {choose(searches).winner}")
    return 0


def evaluate(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started, workers=False) as stages:
        opened = stages.evaluate()
        files = stages.session.files
    print(f"test split opened and sealed: {files.seal}" if opened else f"already evaluated: {files.seal}")
    return 0


def examine(args: argparse.Namespace, command: str, started: float) -> int:
    trains = args.ablation is not None or args.audit is not None
    written = []
    with _stages(args, command, started, workers=trains) as stages:
        files = stages.session.files
        if args.ablation is not None:
            stages.ablate(None if math.isinf(args.ablation) else args.ablation)
            written.append(files.ablation)
        if args.audit is not None:
            drawn = stages.audit(args.audit)["drawn"]
            if drawn < args.audit:
                print(
                    f"--audit {args.audit}: all {drawn} pruned trials of this study, there are no more", file=sys.stderr
                )
            written.append(files.audit)
        if not trains:
            stages.examine(None)
            written.append(files.test)
    print(with_its_name(f"examined: {', '.join(map(str, written))}; `study report` shows it", files))
    return 0


def report(args: argparse.Namespace, command: str, started: float) -> int:
    from study.report.page import write_report

    files = existing_files(args)
    write_report(files)
    _print_summary(files)
    return 0


def compare(args: argparse.Namespace, command: str, started: float) -> int:
    from study.report.comparison.entries import find_studies
    from study.report.comparison.page import numbers_of, write_comparison
    from study.report.comparison.sections import answer, leaderboard

    page, compared = write_comparison(find_studies(args.studies, args.results), args.out)
    if args.format == "json":
        print_json({"page": str(page), **numbers_of(compared)})
        return 0
    print_rows(leaderboard.in_short(compared[leaderboard]), args.format)
    print(answer.finding(compared[answer], compared))
    print(f"comparison: {page}")
    return 0


# --- looking at a study --------------------------------------------------------------------------------------------


def status(args: argparse.Namespace, command: str, started: float) -> int:
    return _print_status(existing_files(args), args)


def _print_status(files: StudyFiles, args: argparse.Namespace) -> int:
    from study.command.status import study_status

    holder = lock_holder(files)
    found = study_status(files, holder) | {"held_by": holder}
    if getattr(args, "format", "table") == "json":
        print_json(found)
        return 0
    for one in [found, *found["repeats"]]:
        search = f", search {one['search']} of {found['searches']}" if found["searches"] > 1 else ""
        rows = [_status_row(family, row) for family, row in one["families"].items()]
        print_rows(rows, title=f"study {one['name']}{search}")
    print(*found["lines"], sep="\n")
    return 0


def _status_row(family: str, row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "family": family,
        "complete": row["complete"],
        "pruned": row["pruned"],
        "failed": row["failed"],
        "best": row["best_percent"],
        "trial": row["best_trial"] if row["best_origin"] is None else f"{row['best_trial']}, {row['best_origin']}",
        "spent": f"{row['spent_s']:.0f} s",
        "allowance": row["allowance"],
    }


def dashboard(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.dashboard import serve

    files = existing_files(args)
    if not args.quiet:
        print(f"http://{args.host}:{args.port}{_beside(files)}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if args.until_stdin_ends:
        threading.Thread(target=_end_with_standard_input, daemon=True).start()
    serve(files, args.storage, args.host, args.port, write=args.write)
    return 0


def _beside(files: StudyFiles) -> str:
    """Which of a study's own pages the dashboard serves, too, as far as they are there."""
    from study.command.draw.server import PAGE
    from study.command.pages import CARD_PATH, REPORT_PATH

    whole = files.whole
    pages = [(REPORT_PATH, whole.report_html), (CARD_PATH, whole.model_card), (PAGE, whole.model / "model.json")]
    there = [path for path, file in pages if file.is_file()]
    return f", with {', '.join(there)}" if there else ""


def _end_with_standard_input() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


VERBS: dict[str, Verb] = {
    "run": run,
    "search": search,
    "retrain": retrain,
    "evaluate": evaluate,
    "examine": examine,
    "report": report,
    "compare": compare,
    "status": status,
    "dashboard": dashboard,
    "predict": tools.predict,
    "draw": tools.draw,
    "train": tools.train,
    "show": tools.show,
    "export": tools.export,
    "data": tools.data,
    "spaces": tools.spaces,
    "doctor": tools.doctor,
}
