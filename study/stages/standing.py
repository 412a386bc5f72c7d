"""What of a study stands: whether the files that a stage wrote are there, and were made from what is there now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.inference.bundle import DESCRIPTION, SECOND, WEIGHTS
from study.records.files import read_json
from study.records.finalists import Finalists, read_finalists
from study.records.last_stage import shipped_by
from study.records.made_of import digest_of_trials
from study.records.paths import CARD, StudyFiles
from study.records.run import is_of_last_stage, lacking
from study.records.seal import file_sha256, is_made_from, read_openings
from study.records.settings import load_settings
from study.records.shifts import gains_stand, read_gains
from study.records.trial import read_trials

SHIPPED = (WEIGHTS, SECOND, DESCRIPTION, CARD)
EXAMINED = ("ensemble", "latency", "baselines", "robustness")


# --- finalists -----------------------------------------------------------------------------------------------------


def finalists_stand(files: StudyFiles) -> bool:
    """Whether finalists.json was made from the trials that are there, and all runs that it names are whole."""
    if not files.finalists.is_file():
        return False
    return _is_of_trials(read_finalists(files.finalists), files) and not lost_by_retraining(files)


def _is_of_trials(found: Finalists, files: StudyFiles) -> bool:
    """Of an older study, which does not say: whether its candidates are among the trials."""
    if found.trials is not None:
        return found.trials == digest_of_trials(files.trials_jsonl)
    known = {(trial.family, trial.number) for trial in read_trials(files.trials_jsonl)}
    return all((family, one.trial) in known for family, row in found.families.items() for one in row.candidates)


def lost_by_retraining(files: StudyFiles) -> list[Path]:
    """finalists.json, or the files of the runs named in it, that are not there."""
    if not files.finalists.is_file():
        return [files.finalists]
    return [path for run in read_finalists(files.finalists).runs for path in lacking(files.run(run))]


def lost_by_last_stage(searches: Sequence[StudyFiles]) -> list[Path]:
    """What it came to, and the files of its runs, as far as they are not there."""
    files = searches[0]
    if not files.last_stage.is_file() and load_settings(files.settings).last_stage:
        return [files.last_stage]
    stage = shipped_by(searches, [read_finalists(one.finalists) for one in searches]).stage
    runs = [] if stage is None or stage.judged is None else stage.runs
    return [] if stage is None else [path for run in runs for path in lacking(searches[stage.search].run(run))]


# --- the shipped model ---------------------------------------------------------------------------------------------


def model_stands(searches: Sequence[StudyFiles]) -> bool:
    """Whether `model/` is whole, and holds the weights of the run that validation chose over the searches, the times
    at which the test split was opened and, where it tells gains by shifts, those of today's finalists."""
    files = searches[0]
    if any(not (files.model / name).is_file() for name in SHIPPED):
        return False
    finalists = [read_finalists(one.finalists) for one in searches]
    ships = shipped_by(searches, finalists)
    described = read_json(files.model / DESCRIPTION)
    source = searches[ships.choice.search]
    weights = file_sha256(source.run(ships.run).weights)
    seal = [opening.time for opening in read_openings(files.seal)]
    parts = {WEIGHTS: described["weights_sha256"], SECOND: described.get("second_reader_sha256")}
    whole = all(file_sha256(files.model / name) == digest for name, digest in parts.items())
    if not whole or (described["weights_sha256"], described.get("seal")) != (weights, seal):
        return False
    gains = read_gains(described)
    own = finalists[ships.choice.search]
    return not gains or gains_stand(gains, source, own, ships.choice.family, ships.basis)


# --- what was examined ---------------------------------------------------------------------------------------------


def not_examined(files: StudyFiles) -> list[str]:
    """Which of the examinations are missing, or were made with other networks."""
    return list(_not_examined(files))


def examined_in(files: StudyFiles, name: str) -> list[Path]:
    """The files of an examination that are not there; its result if all are."""
    paths = [files.test / f"{name}.json"] + ([files.test / "strip.npz"] if name == "robustness" else [])
    return [path for path in paths if not path.is_file()] or paths[:1]


def _not_examined(files: StudyFiles) -> Iterator[str]:
    openings = read_openings(files.seal)
    for name in EXAMINED:
        path = files.test / f"{name}.json"
        found = read_json(path) if path.is_file() else None
        lost = found is None or (bool(found.get("strip")) and not (files.test / "strip.npz").is_file())
        # Baselines are of the data alone.
        stands = found is None or name == "baselines" or is_made_from(found, files, openings)
        if lost or not stands or (name == "robustness" and not _reads_shipped(files, found or {})):
            yield name


def _reads_shipped(files: StudyFiles, robustness: Mapping[str, Any]) -> bool:
    """Whether the network that was sealed to be shipped after a last stage was read, too, and no other such."""
    openings = read_openings(files.seal)
    sealed = {} if not openings else {openings[-1].shipped_run: openings[-1].hashes.get(openings[-1].shipped_run)}
    made_from = robustness.get("made_from") or {}
    wanted, read = ({run: w for run, w in each.items() if is_of_last_stage(run)} for each in (sealed, made_from))
    return wanted == read
