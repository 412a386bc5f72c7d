"""The winner as a folder of its own: what `study predict` and other people's programs load."""

from __future__ import annotations

import numpy as np
from safetensors.torch import load_file

from study.config import StudySettings
from study.evaluation.temperature import carried_temperature
from study.evaluation.test_set import read_logits, read_meta
from study.inference.abstain import fit_abstention
from study.inference.bundle import model_card, write_bundle
from study.results import StudyFiles, read_json
from study.session import versions
from study.training.loop import TrainingData


def ship(files: StudyFiles, settings: StudySettings, data: TrainingData) -> None:
    """Write `model/` from the shipped run of finalists.json; rewritten after evaluation, then with test results.

    Temperature and abstention are fitted on the validation logits of the finalist configuration's candidate runs,
    which were trained without those images, and carried over.
    """
    found = read_json(files.finalists)
    winner, run = found["winner"], found["shipped_run"]
    meta = read_meta(files.run(run))
    temperature = carried_temperature(files, winner)
    candidate = next(c for c in found["families"][winner]["candidates"] if c["trial"] == meta.trial)
    with np.load(files.run(candidate["runs"][0]).validation) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    images = data.images[data.validation].cpu().numpy()
    abstention = fit_abstention(logits, labels, temperature, images)
    content = {
        "family": winner,
        "config": meta.config,
        "n_classes": meta.n_classes,
        "classes": list(settings.dataset.classes),
        "mean": meta.mean,
        "std": meta.std,
        "temperature": temperature,
        "threshold": abstention["threshold"],
        "abstention": abstention,
        "dataset": {"name": settings.dataset.name, "sha256": settings.dataset.sha256},
        "study": settings.name,
        "trial": meta.trial,
        "run": run,
        "versions": versions(),
    }
    write_bundle(
        files.model, load_file(files.run(run).weights), content, model_card(content, _metrics(files, run, candidate))
    )


def _metrics(files: StudyFiles, run: str, candidate: dict[str, object]) -> dict[str, object]:
    """What the card says of the model: always validation, and the test once it was opened for this very run."""
    metrics: dict[str, object] = {"validation_accuracy": candidate["mean_accuracy"]}
    if files.predictions.exists():
        labels, logits = read_logits(files.predictions)
        if run in logits:
            metrics |= {"test_accuracy": float((logits[run].argmax(1) == labels).mean()), "n_test": len(labels)}
    return metrics
