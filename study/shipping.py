"""The winner as a folder of its own: what `study predict` and other people's programs load."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from safetensors.torch import load_file

from study.config import StudySettings
from study.evaluation.metrics import confusion_matrix, per_class
from study.evaluation.seal import read_openings
from study.evaluation.temperature import carried_temperature
from study.evaluation.test_set import read_logits, read_meta
from study.inference.abstain import fit_abstention
from study.inference.bundle import model_card, write_bundle
from study.results import StudyFiles, read_json
from study.session import versions
from study.training.loop import TrainingData
from study.training.metrics import accuracy, nll


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
        "dataset": {
            "name": settings.dataset.name,
            "data_dir": settings.dataset.data_dir,
            "split_seed": settings.dataset.split_seed,
            "sha256": settings.dataset.sha256,
        },
        "study": settings.name,
        "trial": meta.trial,
        "run": run,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seal": [opening.time for opening in read_openings(files.seal)],
        "versions": versions(),
    }
    card = model_card(content, _test_metrics(files, run, temperature))
    write_bundle(files.model, load_file(files.run(run).weights), content, card)


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
