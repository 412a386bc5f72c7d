"""Ensembles of the final runs, from predictions.npz alone: mean probabilities over seeds and over all finalists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.predictions import read_groups, read_logits
from study.records.run import read_record
from study.records.seal import weights_of
from study.records.settings import StudySettings
from study.statistics.groups import Groups
from study.statistics.intervals import share
from study.statistics.logits import softmax
from study.statistics.result import strict

ALL = "all finalists"


def run(files: StudyFiles, settings: StudySettings) -> dict[str, Any]:
    """Write and return test/ensemble.json: one entry per family that has several seeds, then one over all finalists.

    Every run weighs the same. An ensemble is one named predictor, so its
    interval is Wilson's; it costs as many forward passes as it has members."""
    labels, logits = read_logits(files.predictions)
    groups = read_groups(files.predictions)
    families: dict[str, list[str]] = defaultdict(list)
    for name in logits:
        families[read_record(files.run(name)).family].append(name)
    ordered = {family: families[family] for family in settings.families if family in families}
    entries = [
        _entry(family, members, logits, labels, groups) for family, members in ordered.items() if len(members) > 1
    ]
    if len(ordered) > 1:
        everyone = [name for members in ordered.values() for name in members]
        entries.append(_entry(ALL, everyone, logits, labels, groups))
    made_from = weights_of(files, logits)
    result: dict[str, Any] = strict({"n": len(labels), "ensembles": entries, "made_from": made_from})
    write_json(files.test / "ensemble.json", result)
    return result


def mean_probabilities(logits: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """K members' logits [N, C] -> their mean softmax [N, C]."""
    return np.asarray(np.mean([softmax(one) for one in logits], axis=0))


def _entry(
    name: str,
    members: Sequence[str],
    logits: Mapping[str, NDArray[Any]],
    labels: NDArray[Any],
    groups: Groups | None,
) -> dict[str, Any]:
    right = mean_probabilities([logits[member] for member in members]).argmax(axis=1) == labels
    single = [float((logits[member].argmax(axis=1) == labels).mean()) for member in members]
    return {
        "name": name,
        "runs": list(members),
        "correct": int(right.sum()),
        "accuracy": float(right.mean()),
        "interval95": share(right, groups),
        "mean_member_accuracy": float(np.mean(single)),
    }
