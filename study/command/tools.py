"""The verbs that need no search: use the winner, look at data and spaces, find faults."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.command.console import existing_files, files_of, print_answer, print_answers, print_rows
from study.errors import ResultsError
from study.records.paths import EXPORT, StudyFiles
from study.streams import FORM

if TYPE_CHECKING:
    from study.inference.bundle import Description
    from study.inference.explain import ExplainPage
    from study.inference.predictor import Predictor
    from study.records.settings import DataPlace
    from study.stages.one_run import Trained

_PARITY_IMAGES = 1000


def _model_folder(args: argparse.Namespace) -> Path:
    if args.model is not None:
        return Path(args.model)
    return _shipped_model(existing_files(args))


def _shipped_model(files: StudyFiles) -> Path:
    if not files.model.is_dir():
        raise ResultsError(f"{files.model} is missing: this study has no winner yet; continue it with `study run`")
    return files.model


def predict(args: argparse.Namespace, command: str, started: float) -> int:
    import torch

    from study.inference.abstain import TOO_FEW, widest_fitted_set
    from study.inference.answer import Prediction, as_text
    from study.inference.inputs import collect_inputs
    from study.inference.predictor import Predictor
    from study.inference.render import render

    # Batches are small: a second thread would mostly wait, and on a busy machine both would.
    torch.set_num_threads(1)
    predictor = Predictor.load(_model_folder(args))
    failed = False
    page = _explain_page(args, predictor) if args.explain else None

    def answers() -> Iterator[Prediction]:
        nonlocal failed
        for answer in predictor.stream(
            collect_inputs(args.inputs, args.recursive),
            top_k=args.top_k,
            threshold=args.threshold,
            invert=args.invert,
            segment=args.segment,
            save_input=args.save_input,
            coverage=args.coverage,
        ):
            failed = failed or answer.status == "error"
            if args.verbose and answer.pixels is not None:
                print(as_text(answer.pixels), file=sys.stderr)
            if page:
                page.add(answer)
            yield answer

    with page or nullcontext():
        for piece in render(answers(), args.format, {"form": FORM, "verb": args.verb}):
            sys.stdout.write(piece)
    if (widest := widest_fitted_set(predictor.description.abstention, args.coverage)) is not None:
        print(f"a set holds all classes beyond --coverage {widest:g}: there were {TOO_FEW}", file=sys.stderr)
    if page:
        print(f"how they were read: {page.path}", file=sys.stderr)
    return 1 if failed else 0


def _explain_page(args: argparse.Namespace, predictor: Predictor) -> ExplainPage:
    from study.inference.explain import ExplainPage

    limit = predictor.threshold if args.threshold is None else args.threshold
    return ExplainPage(args.explain, predictor.classes, limit, args.invert)


def draw(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.draw.server import Drawing, serve

    model = _model_folder(args)
    drawing = Drawing(model.name, model, None) if args.model else Drawing(files_of(args).name, model, files_of(args))

    def ready() -> None:
        address = f"http://{args.host}:{args.port}/draw"
        if args.format == "json":
            print_answer(args.verb, {"address": address, "model": str(model)})
        elif not args.quiet:
            print(f"{address}  (Ctrl-C ends it)", file=sys.stderr, flush=True)

    serve(drawing, args.host, args.port, ready)
    return 0


def show(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.show import BEST, find, pieces

    files = existing_files(args)
    if args.which == BEST:
        _shipped_model(files)
    shown = find(files, args.which)
    if args.format == "json":
        print_answer(args.verb, {"title": shown.title, "toml": shown.as_toml(), "torch": shown.as_torch()})
        return 0
    for piece in pieces(shown, files.name, args.form):
        sys.stdout.write(piece)
    return 0


def train(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.progress import Reporter
    from study.stages.one_run import train_one
    from study.stages.request import Request

    request = Request(command, started, args.name, args.results, args.dataset, args.data_dir, device=args.device)
    trained = train_one(request, args.file, args.seed, args.epochs, Reporter(args.quiet).say)
    metrics, finalist = trained.metrics, trained.finalist
    if args.format == "json":
        print_answer(args.verb, _trained(trained, args.seed))
        return 0
    print(
        f"{args.file.stem}, seed {args.seed}: {100 * (metrics.accuracy or 0):.2f} % on validation after "
        f"{trained.examples:,} examples, {metrics.n_parameters:,} parameters, {metrics.training_seconds:.0f} s"
        + (" (trained before)" if trained.was_there else "")
    )
    if finalist is not None:
        print(
            f"finalist {trained.family} #{finalist.trial} of the search: {100 * finalist.mean_accuracy:.2f} % after "
            f"{finalist.examples:,} examples, mean of {len(finalist.runs)} fresh seed{'s' * (len(finalist.runs) > 1)}"
        )
    print(f"run: {trained.run.root}")
    return 0


def _trained(trained: Trained, seed: int) -> dict[str, object]:
    metrics, finalist = trained.metrics, trained.finalist
    return {
        "family": trained.family,
        "seed": seed,
        "validation_accuracy": metrics.accuracy,
        "examples": trained.examples,
        "n_parameters": metrics.n_parameters,
        "training_seconds": metrics.training_seconds,
        "trained_before": trained.was_there,
        "finalist": None if finalist is None else asdict(finalist),
        "run": str(trained.run.root),
    }


def export(args: argparse.Namespace, command: str, started: float) -> int:
    from study.data.datasets import load_train, split_as_before
    from study.data.source import Source
    from study.inference.bundle import load_bundle
    from study.inference.export import export_onnx

    folder = _model_folder(args)
    bundle = load_bundle(folder)
    trained_on = _trained_on(args, bundle.description)
    train = load_train(Source.recorded(trained_on, args.data_dir))
    _, validation = split_as_before(train, trained_on.split_seed, trained_on.split_sha256, trained_on.sixth)
    path = args.output or folder / EXPORT
    parity = export_onnx(bundle, path, train.images[validation[:_PARITY_IMAGES]].numpy())
    if args.format == "json":
        print_answer(args.verb, {"file": str(path), **asdict(parity)})
        return 0
    print(f"{path}: {parity.images} validation images, {parity.changed} answers changed, largest gap {parity.gap:.1e}")
    return 0


def _trained_on(args: argparse.Namespace, description: Description) -> DataPlace:
    """The model's data: as its study recorded them where that knows more, as of its own copy of pictures, which moves
    with it, and of models of earlier versions, which do not name the split's digest."""
    from study.records.settings import load_settings

    named = description.trained_on()
    if args.model is not None:
        return named
    recorded = load_settings(existing_files(args).settings).dataset
    if named.split_sha256 is None:
        return recorded
    of_search = {"split_sha256": named.split_sha256, "sixth": named.sixth}  # that found it
    return named if recorded.decoded is None else recorded.model_copy(update=of_search)


# --- data and spaces -----------------------------------------------------------------------------------------------


def data(args: argparse.Namespace, command: str, started: float) -> int:
    from study.data import explore
    from study.data.remarks import survey
    from study.data.source import Source

    seen = survey(Source.asked(args.dataset, args.data_dir))
    dataset, summary = seen.dataset, explore.summarise(seen, args.seed)
    for remark in summary["remarks"]:
        print(f"note: {remark}", file=sys.stderr)
    if args.image is not None:
        args.image.parent.mkdir(parents=True, exist_ok=True)
        explore.sample_grid(dataset, seed=args.seed).save(args.image)
        print(f"samples: {args.image}", file=sys.stderr)
    if args.html is not None:
        explore.write_page(args.html, summary, dataset)
        print(f"page: {args.html}", file=sys.stderr)
    if args.format == "json":
        print_answer(args.verb, summary)
    else:
        _print_data(summary)
    return 0


def _print_data(summary: dict[str, Any]) -> None:
    counts = summary["counts"]["train"], summary["counts"]["test"]
    rows = [*zip(summary["classes"], *counts, strict=True), ("all", *map(sum, counts))]
    shown = [{"class": name, "training": f"{train:,}", "test": f"{test:,}"} for name, train, test in rows]
    print_rows(shown, title=summary["dataset"])
    pixels = summary["pixels"]
    print(
        f"pixels of the training images: mean {pixels['mean']:.4f}, standard deviation {pixels['std']:.4f} "
        f"(of 1), grey levels {pixels['min']} to {pixels['max']}"
    )


def spaces(args: argparse.Namespace, command: str, started: float) -> int:
    from study.space.rows import describe
    from study.space.sampling import find_space, known_spaces

    loaded = [find_space(word) for word in args.spaces or known_spaces()]
    if args.action == "list":
        rows = [{"family": s.family, "parameters": len(s.parameters), "file": s.source} for s in loaded]
    elif args.action == "show":
        rows = [{"family": s.family, **asdict(row)} for s in loaded for row in describe(s)]
    else:
        rows = [_checked(space, args) for space in loaded]
    _print_found(rows, args)
    return 0


def _print_found(rows: Sequence[Mapping[str, object]], args: argparse.Namespace) -> None:
    if args.format == "json":
        print_answers(args.verb, rows)
    else:
        print_rows(rows)


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


def doctor(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.doctor import examine as examine_health
    from study.command.doctor import set_aside
    from study.command.mending import repair_all

    if args.set_aside:
        said = set_aside(files_of(args), args.storage)
        _print_found([{"what": "storage", "sound": True, "found": said}], args) if args.format == "json" else print(
            said
        )
        return 0
    if args.repair:
        for said in repair_all(files_of(args), args.storage):
            print(said, file=sys.stderr)
    named = args.name is not None
    findings = examine_health(files_of(args), args.dataset, args.data_dir, args.storage, named=named)
    _print_found(findings, args)
    return 0 if all(finding["sound"] for finding in findings) else 1
