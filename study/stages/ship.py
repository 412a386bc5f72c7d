"""The winner as a folder of its own: what `study predict` and other people's programs load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from study.errors import ModelFileError
from study.evaluation.temperature import pooled_temperature
from study.evaluation.test_set import load_run, one_thread
from study.inference.abstain import Evidence, fit_abstention
from study.inference.bundle import Description, load_bundle, model_card, write_bundle
from study.inference.hands import other_forms, read_hands
from study.inference.predictor import Predictor
from study.inference.refusal import measure_refusals
from study.inference.second_reader import SecondReader, fit_second_reader
from study.inference.side_by_side import side_by_side
from study.models import plugin_behind
from study.models.reading import ShiftedReading
from study.records.finalists import Finalists, read_finalists
from study.records.last_stage import shipped_by
from study.records.paths import RunFiles, StudyFiles
from study.records.predictions import read_run_logits, read_validation
from study.records.run import read_record, read_run
from study.records.seal import file_sha256, read_openings
from study.records.settings import StudySettings
from study.records.shifts import gains_stand, read_gains, read_shipped
from study.records.trial import read_trials
from study.stages.cores import available_cores
from study.stages.held_out import part_of
from study.stages.session import versions
from study.stages.shifts import Readings, with_shifts
from study.statistics.logits import accuracy, fit_temperature, nll
from study.statistics.scores import confusion_matrix, per_class
from study.training.loop import TrainingData

_MOST_READERS = 8
_MANY = 400  # validation images
_OF_SHIFTS = ("temperature", "reading", "gains")  # what is decided and fitted where a study may ship shifts


def ship(
    files: StudyFiles,
    settings: StudySettings,
    data: TrainingData,
    repeats: Sequence[StudyFiles] = (),
    n_workers: int = 1,
) -> None:
    """Write `model/` from the run that validation chose, which may be one of the study's repeats; rewritten after
    evaluation, then with test results. Pictures are read by `n_workers` processes at most.

    Temperature and abstention are fitted on the validation logits of the finalist configuration's candidate runs,
    which were trained without those images (where a last stage is shipped, of the one that has had it, too), and
    carried over. So is the table of what is refused. Where the study may ship a reading with shifts and these mend more
    than they spoil, the logits are of that reading.
    """
    searches = (files, *repeats)
    finalists = [read_finalists(search.finalists) for search in searches]
    ships = shipped_by(searches, finalists)
    chosen, run, basis = ships.choice, ships.run, ships.basis
    source, family = searches[chosen.search], chosen.family
    part = part_of(settings, data, chosen.search + 1)  # whose validation images the run has not seen
    record = read_record(source.run(run))
    content: dict[str, Any] = {
        "family": family,
        "config": dict(read_run(source.run(chosen.run)).config),  # the recipe without a last stage
        "n_classes": record.n_classes,
        "classes": list(settings.dataset.classes),
        "mean": record.mean,
        "std": record.std,
        "on_black": record.on_black,
        "temperature": pooled_temperature(source, basis),
        "reading": None,
        "dataset": part.dataset.for_model(),
        "study": source.name if chosen.search else settings.name,
        "trial": record.trial,
        "origin": next(
            (t.origin for t in read_trials(source.trials_jsonl).of(family) if t.number == record.trial), None
        ),
        "run": run,
        "fitted_on": {"run": basis[0], "sha256": file_sha256(source.run(basis[0]).weights)},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seal": [opening.time for opening in read_openings(files.seal)],
        "versions": versions(),
    }
    if (plugin := plugin_behind(family)) is not None:
        content |= {"package": plugin.package, "package_version": plugin.version}
        content["versions"] = versions() | {plugin.package: plugin.version}
    if ships.stage is not None and ships.is_staged:
        content["last_stage"] = ships.stage.to_dict()
    shifts = settings.reading == "shifts"
    before = _fitted_before(files, source, finalists[chosen.search], content, basis, shifts=shifts)
    fitted, second_reader = before or _fit(
        source, finalists[chosen.search], content, basis, part.data, n_workers, shifts=shifts
    )
    content |= fitted
    read = _test_logits(files, source, content)
    card = model_card(content, None if read is None else _test_metrics(*read, content["temperature"]))
    write_bundle(files.model, load_file(source.run(run).weights), content, card, second_reader)


def _fitted_before(
    files: StudyFiles,
    source: StudyFiles,
    finalists: Finalists,
    content: Mapping[str, Any],
    basis: tuple[str, ...],
    *,
    shifts: bool,
) -> tuple[dict[str, Any], SecondReader] | None:
    """What an earlier call fitted on the same candidate with the same versions, without a look at shifts or with one at
    the same finalists."""
    try:
        bundle = load_bundle(files.model)
    except ModelFileError:
        return None
    known = bundle.description.model_dump()
    same = all(known.get(key) == content[key] for key in ("fitted_on", "versions")) and ("gains" in known) == shifts
    if same and shifts:
        same = gains_stand(read_gains(known), source, finalists, content["family"], basis)
    fitted = ("threshold", "abstention", *_OF_SHIFTS) if shifts else ("threshold", "abstention")
    return ({key: known[key] for key in fitted}, bundle.second_reader) if same and bundle.second_reader else None


def _fit(
    source: StudyFiles,
    finalists: Finalists,
    content: Mapping[str, Any],
    basis: tuple[str, ...],
    data: TrainingData,
    n_workers: int,
    *,
    shifts: bool,
) -> tuple[dict[str, Any], SecondReader]:
    """What the model's file says beyond `content`, fitted on validation images that are read as it will read: with
    `shifts` where they mend more answers than they spoil."""
    unseen, first = data.images[data.validation].cpu(), source.run(basis[0])
    left = read_validation(first)
    assert left is not None  # the temperature is fitted on them
    logits, labels = left
    fitted: dict[str, Any] = {}
    if shifts:
        read = with_shifts(source, finalists, content["family"], basis, unseen)
        fitted = _of_shifts(read, content)
        logits = logits if fitted["reading"] is None else read[0].shifts
    # Thousands of small steps: on one thread none of them waits for a core that something else uses.
    with one_thread():
        abstention, second = _abstention(first, {**content, **fitted}, data, unseen, logits, labels, n_workers)
    return {**fitted, "threshold": abstention["threshold"], "abstention": abstention}, second


def _of_shifts(read: Sequence[Readings], content: Mapping[str, Any]) -> dict[str, Any]:
    """What each family gains by shifts, the shipped one first; whether it reads so, and the temperature of that."""
    first_of_each = {one.family: one for one in reversed(read)}
    gains = [first_of_each[name].gain.to_dict() for name in dict.fromkeys(one.family for one in read)]
    if not read[0].gain.helps:
        return {"temperature": content["temperature"], "reading": None, "gains": gains}
    own = [one for one in read if one.family == content["family"]]
    logits, labels = (np.concatenate(parts) for parts in ([one.shifts for one in own], [one.labels for one in own]))
    reading = ShiftedReading(temperature=content["temperature"]).model_dump()
    return {"temperature": fit_temperature(logits, labels), "reading": reading, "gains": gains}


def _abstention(
    basis: RunFiles,
    content: Mapping[str, Any],
    data: TrainingData,
    unseen: Tensor,
    logits: NDArray[Any],
    labels: NDArray[np.int64],
    n_workers: int,
) -> tuple[dict[str, Any], SecondReader]:
    """The abstention of a candidate run from its `logits` [N, C] of the images `unseen` and, measured with that run,
    what it refuses."""
    images, classes = data.images[data.train].cpu(), data.labels[data.train].cpu()
    reader = fit_second_reader(images, classes, data.n_classes, other_forms(images, classes, content["classes"]))
    evidence = Evidence(unseen.numpy(), logits, reader(unseen).numpy())
    model, run = load_run(basis)
    record = run.record
    own = {"mean": record.mean, "std": record.std, "on_black": record.on_black, "format": 1, "weights_sha256": ""}

    def predictor(fitted: Mapping[str, Any]) -> Predictor:
        return Predictor(model, Description.model_validate({**content, "abstention": fitted, **own}), reader)

    with side_by_side(n_readers(len(labels), n_workers, available_cores())) as predict:
        hands = read_hands(predictor({}), evidence.images, labels, predict=predict)
        abstention = fit_abstention(evidence, labels, content["temperature"], hands)
        abstention["refusals"] = measure_refusals(predictor(abstention), evidence.images, labels, predict=predict)
    return abstention, reader


def n_readers(n_images: int, n_workers: int, n_cores: int) -> int:
    """By how many processes the pictures are read that are drawn from so many validation images; 1 for this one. Of few
    images there are fewer to read, and processes would hardly be there before it is done."""
    return min(n_workers, n_cores, _MOST_READERS) if n_images >= _MANY else 1


Labelled = tuple[NDArray[Any], NDArray[np.int64]]  # logits [N, C] and labels [N]


def _test_logits(files: StudyFiles, source: StudyFiles, content: Mapping[str, Any]) -> Labelled | None:
    """As the shipped model reads, once the test split was opened for these very weights and this reading: another
    network may have had the run's name. `files` are the study's, `source` those of the run's search."""
    run: str = content["run"]
    sealed = run if source == files else f"{source.root.name}/{run}"
    openings = read_openings(files.seal)
    if not openings or openings[-1].hashes.get(sealed) != file_sha256(source.run(run).weights):
        return None
    if content["reading"] is None:
        known = read_run_logits(source, run)
        return None if known is None else (known[1], known[0])
    if (openings[-1].shipped_run, openings[-1].reading) != (sealed, content["reading"]):
        return None
    read = read_shipped(files.shipped_predictions)
    return None if read is None else (read.logits, read.labels)


def _test_metrics(logits: NDArray[Any], labels: NDArray[np.int64], temperature: float) -> dict[str, float]:
    """Test figures of the shipped model for its card."""
    macro = per_class(confusion_matrix(labels, logits.argmax(axis=1), logits.shape[1])).macro_f1
    return {"accuracy": accuracy(logits, labels), "nll": nll(logits, labels, temperature), "f1_macro": macro}
