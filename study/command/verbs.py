"""The verbs that work on a study: call the stages, print results on stdout, say the rest on stderr; and all verbs by
their names."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from study.command import looking, tools
from study.command.completion import completion
from study.command.console import existing_files, print_answer
from study.command.slurm import slurm
from study.command.summary import dashboard_command
from study.records.locking import lock_holder
from study.records.naming import with_its_name
from study.records.paths import StudyFiles

if TYPE_CHECKING:
    from study.command.progress import Reporter
    from study.records.finalists import FamilyResult
    from study.stages.all import Stages
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
        last_stage=not args.no_last_stage,
        given=tuple(args.given or ()),
        imported_from=args.imported_from,
        workers=args.workers,
        device=args.device,
        cluster=args.cluster,
        cluster_patience=args.cluster_patience,
        cluster_machines=args.cluster_machines,
        storage=args.storage,
        repeats=getattr(args, "repeats", None),
        opens_test=opens_test,
        goes_without_test=args.verb == "run",
        counted=not getattr(args, "uncounted", False),
    )
    request.check(args.verb)
    return request


@contextlib.contextmanager
def _stages(args: argparse.Namespace, command: str, started: float, *, workers: bool = True) -> Iterator[Stages]:
    from study.command.working import at_work

    request = _request(args, command, started)
    with at_work(request, lambda: _reporter(args), workers=workers) as stages:
        yield stages


def _reporter(args: argparse.Namespace) -> Reporter:
    from study.command.progress import Reporter

    return Reporter(args.quiet)


def run(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.working import run_stages
    from study.stages.request import check_port

    if args.dry_run:
        return _dry_run(args, command, started)
    if args.dashboard:
        check_port(args.port)
    with contextlib.ExitStack() as along:
        with _stages(args, command, started) as stages:
            files, say = stages.session.files, stages.progress.say
            _say_where(args, files, say)
            if args.dashboard:
                stages.find_database()
                along.enter_context(_dashboard_along(args, files))
            run_stages(stages, evaluate=not args.no_evaluate)
        looking.print_summary(args, files, dry_run=False)
    return 0


def _dry_run(args: argparse.Namespace, command: str, started: float) -> int:
    request = _request(args, command, started)
    from study.stages.cluster import joining_cluster

    with joining_cluster(request, trains=False) as join:
        from study.command.dry_run import print_plan
        from study.stages.all import open_stages
        from study.stages.dry_run import dry_run
        from study.stages.session import preview_session

        reporter = _reporter(args)
        with open_stages(preview_session(request, join(reporter.say)), reporter) as stages:
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
        say(f"watch it: {dashboard_command(files, args.results)}  ({address})")


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

    return dashboard_along(words, f"http://127.0.0.1:{args.port}", dashboard_command(files, args.results), ready)


def search(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started) as stages:
        stages.search()
        files = stages.session.files
    return looking.print_status(files, args)


def retrain(args: argparse.Namespace, command: str, started: float) -> int:
    from study.records.finalists import choose

    with _stages(args, command, started) as stages:
        stages.retrain()
        searches = stages.finalists()
    winner = choose(searches).winner
    rows = [(number, *row) for number, one in enumerate(searches, 1) for row in one.families.items()]
    if args.format == "json":
        print_answer(args.verb, {"winner": winner, "finalists": [_finalist(*row) for row in rows]})
        return 0
    for number, family, found in rows:
        search = f"search {number}, " if len(searches) > 1 else ""
        best = found.chosen
        score = f"fresh-seed validation {100 * best.mean_accuracy:.2f} %" if best else "no candidate ended well"
        print(f"{search}{family}: finalist #{found.finalist}, {score}, {len(found.final_runs)} final runs")
    print(f"winner by validation: {winner}")
    return 0


def _finalist(search: int, family: str, found: FamilyResult) -> dict[str, object]:
    best = None if found.chosen is None else found.chosen.mean_accuracy
    about = {"search": search, "family": family, "finalist": found.finalist, "validation_accuracy": best}
    return about | {"final_runs": found.final_runs}


def evaluate(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started, workers=False) as stages:
        opened = stages.evaluate()
        files = stages.session.files
    if args.format == "json":
        print_answer(args.verb, {"opened": opened, "seal": str(files.seal)})
    else:
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
    if args.format == "json":
        print_answer(args.verb, {"written": [str(path) for path in written]})
        return 0
    print(with_its_name(f"examined: {', '.join(map(str, written))}; `study report` shows it", files))
    return 0


def propose(args: argparse.Namespace, command: str, started: float) -> int:
    from study.records.ledger import read_ledger
    from study.records.trial import read_trials
    from study.search.proposed import propose as write

    files = existing_files(args)
    found, path = write(files, args.file, args.family, read_trials(files.trials_jsonl))
    ledger = read_ledger(files.ledger)
    is_done = ledger.has_reached("search", ledger.goal)
    is_searched = not is_done and lock_holder(files) is not None
    if args.format == "json":
        about = {"family": found.family, "config": found.config, "file": str(path), "at_work": is_searched}
        print_answer(args.verb, about)
        return 0
    taken = "the command at work" if is_searched else "the next command that searches, such as `study run`,"
    if is_done:
        taken = "its search is done, and one with a larger --budget or --n-trials"
    print(with_its_name(f"proposed to {found.family}: {taken} tries it before its next trial ({path})", files))
    return 0


VERBS: dict[str, Verb] = {
    "run": run,
    "propose": propose,
    "search": search,
    "retrain": retrain,
    "evaluate": evaluate,
    "examine": examine,
    "report": looking.report,
    "compare": looking.compare,
    "status": looking.status,
    "dashboard": looking.dashboard,
    "predict": tools.predict,
    "draw": tools.draw,
    "train": tools.train,
    "show": tools.show,
    "export": tools.export,
    "data": tools.data,
    "spaces": tools.spaces,
    "doctor": tools.doctor,
    "slurm": slurm,
    "completion": completion,
}
