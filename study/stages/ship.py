"""The winner as a folder of its own: what `study predict` and other people's programs load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from safetensors.torch import load_file

from study.errors import ModelFileError
from study.evaluation.temperature import carried_temperature
from study.evaluation.test_set import load_run, one_thread
from study.inference.abstain import Evidence, fit_abstention
from study.inference.bundle import Description, load_bundle, model_card, write_bundle
from study.inference.hands import read_hands
from study.inference.predictor import Predictor
from study.inference.refusal import measure_refusals
from study.inference.second_reader import SecondReader, fit_second_reader
from study.models import plugin_behind
from study.records.finalists import choose, read_finalists
from study.records.paths import RunFiles, StudyFiles
from study.records.predictions import read_logits
from study.records.run import read_run
from study.records.seal import file_sha256, read_openings
from study.records.settings import StudySettings
from study.records.trial import read_trials
from study.stages.session import versions
from study.statistics.logits import accuracy, nll
from study.statistics.scores import confusion_matrix, per_class
from study.training.loop import TrainingData


def ship(files: StudyFiles, settings: StudySettings, data: TrainingData, repeats: Sequence[StudyFiles] = ()) -> None:
    """Write `model/` from the run that validation chose, which may be one of the study's repeats; rewritten after
    evaluation, then with test results.

    Temperature and abstention are fitted on the validation logits of the finalist configuration's candidate runs,
    which were trained without those images, and carried over. So is the table of what is refused.
    """
    searches = (files, *repeats)
    finalists = [read_finalists(search.finalists) for search in searches]
    chosen = choose(finalists)
    source, winner, run = searches[chosen.search], chosen.winner, chosen.run
    shipped = read_run(source.run(run))
    record = shipped.record
    temperature = carried_temperature(source, winner)
    finalist = finalists[chosen.search].of(winner).chosen
    assert finalist is not None  # it was chosen
    basis = finalist.runs[0]
    content = {
        "family": winner,
        "config": dict(shipped.config),
        "n_classes": record.n_classes,
        "classes": list(settings.dataset.classes),
        "mean": record.mean,
        "std": record.std,
        "temperature": temperature,
        "dataset": settings.dataset.for_model(),
        "study": source.name if chosen.search else settings.name,
        "trial": record.trial,
        "origin": next(
            (t.origin for t in read_trials(source.trials_jsonl).of(winner) if t.number == record.trial), None
        ),
        "run": run,
        "fitted_on": {"run": basis, "sha256": file_sha256(source.run(basis).weights)},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seal": [opening.time for opening in read_openings(files.seal)],
        "versions": versions(),
    }
    if (plugin := plugin_behind(winner)) is not None:
        content |= {"package": plugin.package, "package_version": plugin.version}
        content["versions"] = versions() | {plugin.package: plugin.version}
    # Thousands of small steps: on one thread none of them waits for a core that something else uses.
    with one_thread():
        abstention, second_reader = _fitted_before(files, content) or _fit(source.run(basis), content, data)
    content |= {"threshold": abstention["threshold"], "abstention": abstention}
    card = model_card(content, _test_metrics(source, run, temperature))
    write_bundle(files.model, load_file(source.run(run).weights), content, card, second_reader)


def _fitted_before(files: StudyFiles, content: Mapping[str, Any]) -> tuple[dict[str, Any], SecondReader] | None:
    """What an earlier call fitted on the same candidate, with the same versions."""
    try:
        bundle = load_bundle(files.model)
    except ModelFileError:
        return None
    known = bundle.description.model_extra or {}
    same = all(known.get(key) == content[key] for key in ("fitted_on", "versions"))
    return (bundle.description.abstention, bundle.second_reader) if same and bundle.second_reader else None


def _fit(basis: RunFiles, content: Mapping[str, Any], data: TrainingData) -> tuple[dict[str, Any], SecondReader]:
    """The abstention of a candidate run and, measured with that run, what it refuses."""
    images, unseen = data.images[data.train].cpu(), data.images[data.validation].cpu()
    reader = fit_second_reader(images, data.labels[data.train].cpu(), data.n_classes)
    with np.load(basis.validation) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    evidence = Evidence(unseen.numpy(), logits, reader(unseen).numpy())
    model, run = load_run(basis)
    own = {"mean": run.record.mean, "std": run.record.std, "format": 1, "weights_sha256": ""}

    def predictor(fitted: Mapping[str, Any]) -> Predictor:
        return Predictor(model, Description.model_validate({**content, "abstention": fitted, **own}), reader)

    abstention = fit_abstention(
        evidence, labels, content["temperature"], lambda fitted: read_hands(predictor(fitted), evidence.images, labels)
    )
    abstention["refusals"] = measure_refusals(predictor(abstention), evidence.images, labels)
    return abstention, reader


def _test_metrics(files: StudyFiles, run: str, temperature: float) -> dict[str, float] | None:
    """Test figures of the shipped run for its card, once the split was opened for it."""
    if not files.predictions.exists():
        return None
    labels, logits = read_logits(files.predictions)
    if run not in logits:
        return None
    macro = per_class(confusion_matrix(labels, logits[run].argmax(axis=1), logits[run].shape[1])).macro_f1
    return {
        "accuracy": accuracy(logits[run], labels),
        "nll": nll(logits[run], labels, temperature),
        "f1_macro": macro,
    }
