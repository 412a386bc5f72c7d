"""The opening of the test split: seal first, then images, then the logits of every run. Nothing else reads it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from study.data.augment import to_float
from study.data.datasets import Dataset, load_test
from study.data.source import Source
from study.errors import ResultsError
from study.models.contrast import on_black
from study.models.reading import Reader, ShiftedReading, read_again
from study.records.files import write_npz
from study.records.finalists import Finalists
from study.records.last_stage import LastStage
from study.records.openings import count_openings
from study.records.paths import RunFiles, StudyFiles
from study.records.predictions import read_logits, read_run_logits
from study.records.run import Run, RunRecord, read_record, read_run
from study.records.seal import Opening, file_sha256, now, read_openings, run_hashes, write_openings
from study.records.settings import StudySettings
from study.statistics.logits import log_softmax
from study.training.config import build_model

BATCH_SIZE = 250  # what a convolution makes of so many images stays in a core's cache
HARDEST = 30
MISREAD = 18  # of each family, kept as pictures beside the hardest


def load_run(run: RunFiles, device: str = "cpu") -> tuple[nn.Module, Run]:
    """The model of a run, rebuilt from its configuration and weights, in evaluation mode, its convolutions with
    channels last as in training."""
    read = read_run(run)
    # No initial weights, and no draw for them: the caller's generator stays where it is.
    with torch.device("meta"):
        model = build_model({"family": read.record.family, **read.config}, read.record.n_classes)
    try:
        model.load_state_dict(load_file(run.weights), assign=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        cause = str(error).strip().splitlines()[0]
        raise ResultsError(
            f"{run.weights} does not hold the weights of {run.config} ({cause}); move the run away and rerun "
            "`study retrain`"
        ) from None
    return model.to(device).to(memory_format=torch.channels_last).eval(), read


def reader_of(model: nn.Module, record: RunRecord, shifted: ShiftedReading | None) -> Reader:
    """The network of a run as it reads pixels."""
    return Reader(model, record.mean, record.std, shifted, on_black=record.on_black)


@torch.inference_mode()
def logits_of(
    model: nn.Module, images: torch.Tensor, record: RunRecord, device: str = "cpu", batch_size: int = BATCH_SIZE
) -> NDArray[np.float32]:
    """uint8 [N, 28, 28] or float [N, 1, 28, 28] in [0, 1] -> logits [N, C], all in float32."""
    parts = []
    for batch in torch.split(images, batch_size):
        x = batch.to(device)
        x = to_float(x) if x.dtype == torch.uint8 else x  # [B, 1, 28, 28]
        x = on_black(x, white=1.0) if record.on_black else x
        x = ((x - record.mean) / record.std).contiguous(memory_format=torch.channels_last)
        parts.append(model(x).float().cpu())
    return np.asarray(torch.cat(parts).numpy())


@dataclass(frozen=True)
class _Evaluated:
    """The runs of one search. In the seal a repeat's runs are named with its folder, `<repeat>/<run>`."""

    files: StudyFiles
    finals: list[str]
    candidates: list[str]
    prefix: str

    def sealed(self, runs: Sequence[str]) -> list[str]:
        return [self.prefix + run for run in runs]

    def is_complete(self) -> bool:
        predictions = (self.files.predictions, self.finals), (self.files.candidate_predictions, self.candidates)
        return _images(self.files).exists() and all(_complete(path, runs) for path, runs in predictions)


Repeats = Sequence[tuple[StudyFiles, Finalists]]


def _staged(stage: LastStage | None, search: int) -> list[str]:
    """Of this search."""
    return [stage.run] if stage is not None and stage.ships and stage.search == search else []


class RunsToTest:
    """Final and candidate runs, by name, that are to read the test split, with the weights that they have now; beside
    them what was sealed before. Each reads an image once; the shipped run reads what it is unsure of again, too, where
    it is shipped with a `shifted` reading. After a last `stage` that is shipped a run is read as candidate runs are.
    ResultsError for a run that is not finished."""

    def __init__(
        self,
        files: StudyFiles,
        found: Finalists,
        repeats: Repeats = (),
        shifted: ShiftedReading | None = None,
        stage: LastStage | None = None,
    ) -> None:
        self.files, self.shifted, self.stage = files, shifted, stage
        searches = [
            _Evaluated(one, its.final_runs, [*its.candidate_runs, *_staged(stage, number)], prefix)
            for number, (one, its, prefix) in enumerate(
                [(files, found, ""), *((repeat, its, f"{repeat.root.name}/") for repeat, its in repeats)]
            )
        ]
        self.hashes: dict[str, str] = {}
        for one in searches:
            known = run_hashes(one.files, [*one.finals, *one.candidates])
            self.hashes |= {one.prefix + run: digest for run, digest in known.items()}
        # The study's own last: with its predictions all is complete.
        self.searches = [*searches[1:], searches[0]]
        self.openings = read_openings(files.seal)

    @property
    def are_sealed(self) -> bool:
        """Whether the last opening was of these very weights."""
        return bool(self.openings) and self.openings[-1].hashes == self.hashes

    @property
    def are_evaluated(self) -> bool:
        shipped = self.shifted is None or self.files.shipped_predictions.is_file()
        return self.are_sealed and shipped and all(search.is_complete() for search in self.searches)

    def named(self, sealed: str) -> tuple[StudyFiles, str] | None:
        """The files and the name in them of a run, by its name in the seal; None if there is none."""
        runs = ((one, run) for one in self.searches for run in (*one.finals, *one.candidates))
        return next(((one.files, run) for one, run in runs if one.prefix + run == sealed), None)


def open_test(
    files: StudyFiles,
    settings: StudySettings,
    command: str,
    wanted: RunsToTest,
    winner: str,
    shipped_run: str,
    hypotheses: Sequence[Sequence[str]],
    device: str = "cpu",
    *,
    counted: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> bool:
    """Seal what was decided, then write the test logits of the `wanted` runs. Those of the study's repeats are sealed
    with them, in one opening; their logits go into their own folders. If it is `counted`, it is added to the user's
    count of openings, else it is sealed as uncounted and stays so; `say` is told if the count cannot be kept, which
    keeps nothing else from going on.

    False, and nothing is touched, if the last opening was of these very weights and its predictions are there. If they
    are not (it ended before they were written, or they are lost) the same networks are read once more: what comes of it
    is decided already, so it is taken up again and not counted twice.
    """
    shipped = wanted.named(shipped_run)
    if shipped is None:
        known = [run for search in wanted.searches for run in search.sealed([*search.finals, *search.candidates])]
        raise ResultsError(f"{files.finalists}: shipped run '{shipped_run}' is not among the runs {known}")
    if wanted.are_evaluated:
        return False
    openings = wanted.openings
    if wanted.are_sealed:
        again = dataclasses.replace(openings[-1], resumed=(*openings[-1].resumed, now()))
        openings = [*openings[:-1], again]
    else:
        pairs = [list(pair) for pair in hypotheses]
        reading = None if wanted.shifted is None else wanted.shifted.model_dump()
        digests = _test_digests(settings)
        judged = None if wanted.stage is None or wanted.stage.judged is None else wanted.stage.to_dict()
        opening = Opening(
            now(), command, winner, shipped_run, pairs, wanted.hashes, digests, reading=reading, last_stage=judged
        )
        openings = [*openings, opening]
        # Those of other weights: were they there when this is cut short, they would be taken for the sealed ones'.
        for search in wanted.searches:
            search.files.predictions.unlink(missing_ok=True)
    if not counted and openings[-1].of_user is None:
        openings = [*openings[:-1], dataclasses.replace(openings[-1], uncounted=True)]
    write_openings(files.seal, openings)
    if openings[-1].of_user is None and not openings[-1].uncounted:
        _count(files, openings, say)
    test = _load_test(settings)
    files.shipped_predictions.unlink(missing_ok=True)
    for search in wanted.searches:
        _evaluate(search, test, device)
    if wanted.shifted is not None:
        _read_with_shifts(files.shipped_predictions, *shipped, wanted.shifted, test, device)
    return True


def _count(files: StudyFiles, openings: Sequence[Opening], say: Callable[[str], None]) -> None:
    """Seal the last opening's number in the user's count. First it is sealed without: where this is cut short the next
    command counts it, once."""
    try:
        number = count_openings(files, openings)
    except ResultsError as error:
        say(f"this opening of the test images is not counted beyond {files.root.parent}: {error}")
    else:
        write_openings(files.seal, [*openings[:-1], dataclasses.replace(openings[-1], of_user=number)])


def _images(files: StudyFiles) -> Path:
    return files.test / "images.npz"


def _test_digests(settings: StudySettings) -> dict[str, str]:
    return {role: digest for role, digest in settings.dataset.sha256.items() if role.startswith("test")}


def _complete(path: Path, runs: Sequence[str]) -> bool:
    if not path.exists():
        return False
    with np.load(path) as arrays:
        return set(arrays.files) - {"groups"} == {"labels", *runs}


def _load_test(settings: StudySettings) -> Dataset:
    return load_test(Source.recorded(settings.dataset))


def load_sealed_test(files: StudyFiles, settings: StudySettings) -> Dataset:
    """The test split for a further look at runs that were evaluated already; ResultsError before the opening, and for
    runs that have other weights since."""
    openings = read_openings(files.seal)
    if not openings or not files.predictions.exists():
        raise ResultsError(f"{files.predictions} is missing: the test split was not opened; run `study evaluate` first")
    for run in read_logits(files.predictions)[1]:
        if file_sha256(files.run(run).weights) != openings[-1].hashes.get(run):
            raise ResultsError(
                f"{files.run(run).weights} was trained after the test split was opened; expected the weights named in "
                f"{files.seal}: run `study evaluate` first, which opens it again"
            )
    return _load_test(settings)


def _evaluate(search: _Evaluated, test: Dataset, device: str) -> None:
    """Predictions of the finals are written last: with them the search is complete."""
    files, finals, candidates = search.files, search.finals, search.candidates
    of_images = _of_images(test)
    logits = _all_logits(files, [*candidates, *finals], test.images, device)
    write_npz(files.candidate_predictions, {**of_images, **{run: logits[run] for run in candidates}})
    indices = _kept_images(files, {run: logits[run] for run in finals}, of_images["labels"])
    write_npz(_images(files), {"indices": indices, "images": test.images.numpy()[indices]})
    write_npz(files.predictions, {**of_images, **{run: logits[run] for run in finals}})


def _of_images(test: Dataset) -> dict[str, NDArray[Any]]:
    """What a file of predictions holds of the images."""
    labels = test.labels.numpy()
    return {"labels": labels} if test.groups is None else {"labels": labels, "groups": test.groups}


def _read_with_shifts(
    path: Path, files: StudyFiles, run: str, shifted: ShiftedReading, test: Dataset, device: str
) -> None:
    """The shipped run's reading, from what it has read once: only images that this leaves unsure are read again."""
    known = read_run_logits(files, run)
    assert known is not None  # all runs were read before
    model, read = load_run(files.run(run), device)
    reader = reader_of(model, read.record, shifted)
    again = read_again(reader, test.images, known[1])
    write_npz(path, {**_of_images(test), "logits": again.logits, "passes": again.passes})


def _all_logits(
    files: StudyFiles, runs: Sequence[str], images: torch.Tensor, device: str
) -> dict[str, NDArray[np.float32]]:
    """As many runs side by side as torch has threads, each on one of them: they never wait for each other."""

    def logits(run: str) -> NDArray[np.float32]:
        model, read = load_run(files.run(run), device)
        return logits_of(model, images, read.record, device)

    n_threads = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(n_threads) as pool:
        return dict(zip(runs, pool.map(logits, runs), strict=True))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within this block each of torch's operations runs on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hardest_images(
    logits: Sequence[NDArray[np.float32]], labels: NDArray[np.int64], largest: int = HARDEST
) -> NDArray[np.int64]:
    """Indices of the images with the largest mean loss over runs, hardest first, ties by index."""
    rows = np.arange(len(labels))
    loss = -np.mean([log_softmax(one)[rows, labels] for one in logits], axis=0)
    return np.argsort(-loss, kind="stable")[:largest].astype(np.int64)


def _kept_images(
    files: StudyFiles, logits: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Indices of the images that a report shows: the hardest for all runs, then those that each family misreads."""
    families: dict[str, list[NDArray[np.float32]]] = {}
    for run in sorted(logits, key=lambda run: read_record(files.run(run)).seed_index):
        families.setdefault(read_record(files.run(run)).family, []).append(logits[run])
    misread = [misread_images(seeds, labels) for seeds in families.values()]
    kept = np.concatenate([hardest_images(list(logits.values()), labels), *misread])
    return kept[np.sort(np.unique(kept, return_index=True)[1])]


def misread_images(
    seeds: Sequence[NDArray[np.float32]], labels: NDArray[np.int64], most: int = MISREAD
) -> NDArray[np.int64]:
    """Indices of the images that the first of a family's seeds misreads, those with the largest mean loss first."""
    wrong = seeds[0].argmax(axis=1) != labels
    ranked = hardest_images(seeds, labels, len(labels))
    return np.array([index for index in ranked if wrong[index]][:most], dtype=np.int64)


def named_runs(files: StudyFiles) -> dict[str, str]:
    """Family -> its one named final run, seed 0, of those that were evaluated."""
    records = {run: read_record(files.run(run)) for run in read_logits(files.predictions)[1]}
    return {records[run].family: run for run in sorted(records, key=lambda run: -records[run].seed_index)}
