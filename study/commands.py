"""What each verb does: call the stages, print results on stdout, say the rest on stderr."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from study.errors import ResultsError
from study.results import StudyFiles, check_study_name, lock_holder

_PARITY_IMAGES = 1000
Verb = Callable[[argparse.Namespace, str, float], int]


def _files(args: argparse.Namespace) -> StudyFiles:
    """The study that a reading verb means."""
    name = args.name or getattr(args, "dataset", None) or "mnist"
    # The committed sample may be read, though not written.
    checked = name if name == "reference" else check_study_name(name)
    return StudyFiles(args.results / checked)


def _existing(args: argparse.Namespace) -> StudyFiles:
    files = _files(args)
    if not files.exists():
        raise ResultsError(f"{files.root} holds no study; start one with `study run`, or name another with --name")
    return files


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


# --- the stages ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _stages(args: argparse.Namespace, command: str, started: float) -> Iterator[Any]:
    from study.progress import Reporter
    from study.session import Request, open_session
    from study.stages import open_stages

    request = Request(
        command=command,
        started=started,
        name=args.name,
        results=args.results,
        dataset=args.dataset,
        data_dir=args.data_dir,
        spaces=tuple(args.space),
        budget=args.budget,
        n_trials=args.n_trials,
        seed=args.seed,
        split_seed=args.split_seed,
        sampler=args.sampler,
        pruner=args.pruner,
        warm_start=not args.no_warm_start,
        imported_from=args.imported_from,
        workers=args.workers,
        device=args.device,
        storage=args.storage,
    )
    reporter = Reporter(args.quiet)
    with open_session(request) as session:
        for warning in session.warnings:
            reporter.say(f"note: {warning}")
        try:
            with open_stages(session, reporter) as stages:
                yield stages
        finally:
            reporter.end()
            session.ledger.save()


def _dashboard_command(args: argparse.Namespace, files: StudyFiles) -> str:
    words = ["study", "dashboard", "--name", files.name]
    if args.results != Path("results"):
        words += ["--results", str(args.results)]
    return " ".join(words)


def run(args: argparse.Namespace, command: str, started: float) -> int:
    files = None
    with _stages(args, command, started) as stages:
        files = stages.session.files
        say = stages.progress.say
        say(f"study '{files.name}' in {files.root}")
        say(f"watch it: {_dashboard_command(args, files)}  (http://127.0.0.1:{args.port})")
        if stages.is_complete(evaluate=not args.no_evaluate):
            say("this study is complete; a larger --budget, --n-trials or another --space continues it")
        else:
            with _dashboard_along(args, files):
                stages.run_all(evaluate=not args.no_evaluate)
    _print_summary(files)
    print(f"dashboard: {_dashboard_command(args, files)}")
    return 0


@contextlib.contextmanager
def _dashboard_along(args: argparse.Namespace, files: StudyFiles) -> Iterator[None]:
    """A dashboard in a process of its own while the study runs."""
    if not args.dashboard:
        yield
        return
    words = [sys.executable, "-m", "study", "dashboard", "--name", files.name, "--results", str(args.results)]
    words += ["--port", str(args.port), "--quiet"] + (["--storage", args.storage] if args.storage else [])
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _print_summary(files: StudyFiles) -> None:
    from study.results import read_json

    if files.report_json.exists():
        found = read_json(files.report_json)
        for line in (found["findings"]["answer"], found["answer"]["best_trial_sentence"]):
            if line:
                print(line)
    if files.report_html.exists():
        print(f"report: {files.report_html}")


def search(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started) as stages:
        stages.search()
        files = stages.session.files
    return _print_status(files, args)


def retrain(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started) as stages:
        stages.retrain()
        finalists = stages.finalists()
    for family, row in finalists["families"].items():
        best = row["candidates"][0] if row["candidates"] else None
        score = f"fresh-seed validation {100 * best['mean_accuracy']:.2f} %" if best else "no candidate ended well"
        print(f"{family}: finalist #{row['finalist']}, {score}, {len(row['final_runs'])} final runs")
    print(f"winner by validation: {finalists['winner']}")
    return 0


def evaluate(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started) as stages:
        opened = stages.evaluate()
        files = stages.session.files
    print(f"test split opened and sealed: {files.seal}" if opened else f"already evaluated: {files.seal}")
    return 0


def examine(args: argparse.Namespace, command: str, started: float) -> int:
    with _stages(args, command, started) as stages:
        stages.examine(None)
        files = stages.session.files
    print(f"examined: {files.test}")
    return 0


def report(args: argparse.Namespace, command: str, started: float) -> int:
    from study.report.page import write_report

    files = _existing(args)
    write_report(files)
    _print_summary(files)
    return 0


# --- looking at a study --------------------------------------------------------------------------------------------


def status(args: argparse.Namespace, command: str, started: float) -> int:
    return _print_status(_existing(args), args)


def _print_status(files: StudyFiles, args: argparse.Namespace) -> int:
    from study.status import study_status

    found = study_status(files) | {"held_by": lock_holder(files)}
    if getattr(args, "format", "table") == "json":
        _print_json(found)
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "family", "complete", "pruned", "failed", "best", "trial", "spent", "allowance", title=f"study {files.name}"
    )
    for family, row in found["families"].items():
        cells = (row["complete"], row["pruned"], row["failed"], row["best_percent"], row["best_trial"])
        table.add_row(family, *map(str, cells), f"{row['spent_s']:.0f} s", row["allowance"])
    console = Console()
    console.print(table)
    for line in found["lines"]:
        console.print(line, markup=False, highlight=False)
    return 0


def dashboard(args: argparse.Namespace, command: str, started: float) -> int:
    from study.dashboard import serve

    files = _existing(args)
    if not args.quiet:
        print(f"http://{args.host}:{args.port}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    serve(files, args.storage, args.host, args.port, write=args.write)
    return 0


# --- using the winner ----------------------------------------------------------------------------------------------


def _model_folder(args: argparse.Namespace) -> Path:
    if args.model is not None:
        return Path(args.model)
    files = _existing(args)
    if not files.model.is_dir():
        raise ResultsError(f"{files.model} is missing: this study has no winner yet; continue it with `study run`")
    return files.model


def predict(args: argparse.Namespace, command: str, started: float) -> int:
    from study.inference.predictor import Prediction, Predictor, as_text, collect_inputs
    from study.inference.render import render

    predictor = Predictor.load(_model_folder(args))
    failed = False

    def answers() -> Iterator[Prediction]:
        nonlocal failed
        for answer in predictor.stream(
            collect_inputs(args.inputs, args.recursive),
            top_k=args.top_k,
            threshold=args.threshold,
            invert=args.invert,
            segment=args.segment,
            save_input=args.save_input,
        ):
            failed = failed or answer.status == "error"
            if args.verbose and answer.pixels is not None:
                print(as_text(answer.pixels), file=sys.stderr)
            yield answer

    for piece in render(answers(), args.format):
        sys.stdout.write(piece)
    return 1 if failed else 0


def export(args: argparse.Namespace, command: str, started: float) -> int:
    from study.data.datasets import load_train, stratified_split
    from study.inference.bundle import load_bundle
    from study.inference.export import export_onnx

    folder = _model_folder(args)
    bundle = load_bundle(folder)
    about: dict[str, Any] = (bundle.description.model_extra or {}).get("dataset", {})
    data_dir = about.get("data_dir")
    train = load_train(about.get("name", "mnist"), Path(data_dir) if data_dir else None)
    _, validation = stratified_split(train.labels, about.get("split_seed", 0))
    path = args.output or folder / "model.onnx"
    parity = export_onnx(bundle, path, train.images[validation[:_PARITY_IMAGES]].numpy())
    print(f"{path}: {parity.images} validation images, {parity.changed} answers changed, largest gap {parity.gap:.1e}")
    return 0


# --- data and spaces -----------------------------------------------------------------------------------------------


def data(args: argparse.Namespace, command: str, started: float) -> int:
    from study.data import explore
    from study.data.datasets import load_train

    name = args.dataset or (args.data_dir.resolve().name if args.data_dir else "mnist")
    dataset = load_train(name, args.data_dir)
    summary = explore.summarise(dataset, args.data_dir, args.seed)
    if args.image is not None:
        args.image.parent.mkdir(parents=True, exist_ok=True)
        explore.sample_grid(dataset, seed=args.seed).save(args.image)
        print(f"samples: {args.image}", file=sys.stderr)
    if args.html is not None:
        explore.write_page(args.html, summary, dataset)
        print(f"page: {args.html}", file=sys.stderr)
    if args.format == "json":
        _print_json(summary)
    else:
        _print_data(summary)
    return 0


def _print_data(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, counts = Console(), (summary["counts"]["train"], summary["counts"]["test"])
    table = Table("class", "training", "test", title=summary["dataset"])
    for name, train, test in zip(summary["classes"], *counts, strict=True):
        table.add_row(name, f"{train:,}", f"{test:,}")
    table.add_row("all", *(f"{sum(part):,}" for part in counts))
    console.print(table)
    pixels = summary["pixels"]
    console.print(
        f"pixels of the training images: mean {pixels['mean']:.4f}, standard deviation {pixels['std']:.4f} "
        f"(of 1), grey levels {pixels['min']} to {pixels['max']}",
        highlight=False,
    )


def spaces(args: argparse.Namespace, command: str, started: float) -> int:
    from study.space import bundled_spaces, describe, load_space

    bundled = bundled_spaces()
    paths = [bundled.get(name, Path(name)) for name in args.spaces] or list(bundled.values())
    loaded = [load_space(path) for path in paths]
    if args.action == "list":
        rows = [{"family": s.family, "parameters": len(s.parameters), "file": s.source} for s in loaded]
    elif args.action == "show":
        rows = [{"family": s.family, **asdict(row)} for s in loaded for row in describe(s)]
    else:
        rows = [_checked(space, args) for space in loaded]
    _print_rows(rows, args.format)
    return 0


def _checked(space: Any, args: argparse.Namespace) -> dict[str, Any]:
    from study.data.datasets import load_train
    from study.search.spaces import try_branches

    tried = list(try_branches(space, load_train("mnist")))
    sizes = [branch["parameters"] for branch in tried]
    flops = [branch["flops"] for branch in tried]
    return {
        "family": space.family,
        "branches": len(tried),
        "parameters": f"{min(sizes):,} to {max(sizes):,}",
        "FLOPs": f"{min(flops):,} to {max(flops):,}",
        "verdict": "sound",
    }


def _print_rows(rows: list[dict[str, Any]], form: str) -> None:
    if form == "json":
        _print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(rows[0] if rows else ()))
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    Console().print(table)


def doctor(args: argparse.Namespace, command: str, started: float) -> int:
    from study.doctor import examine as examine_health

    findings = examine_health(_files(args), args.dataset, args.data_dir, args.storage)
    _print_rows(findings, args.format)
    return 0 if all(finding["sound"] for finding in findings) else 1


VERBS: dict[str, Verb] = {
    "run": run,
    "search": search,
    "retrain": retrain,
    "evaluate": evaluate,
    "examine": examine,
    "report": report,
    "status": status,
    "dashboard": dashboard,
    "predict": predict,
    "export": export,
    "data": data,
    "spaces": spaces,
    "doctor": doctor,
}
