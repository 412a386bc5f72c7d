"""What a study's files were made of: digests that tell later whether they still are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from study.records.files import read_jsonl
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles

_CLOCKS = ("start", "end")  # an hour of the clock that comes twice in autumn is another one in the database
# What the report shows of the ledger, save what every command adds to it.
_SHOWN_OF_LEDGER = {"goal", "n_searches", "allowance", "spent", "utilisation", "plan", "failed_runs"}
_SHOWN_OF_STUDY = ("study.toml", "trials.jsonl", "finalists.json", "samples.npz", "ablation.json", "audit.json")


def digest_of_trials(path: Path) -> str:
    """Of the trials in a file that count, in whichever order they are recorded: of its lines, whose form stays."""
    counted = [{k: v for k, v in line.items() if k not in _CLOCKS} for line in read_jsonl(path) if line["counted"]]
    counted.sort(key=lambda line: (line["family"], line["number"]))
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def digest_of_study(searches: Sequence[StudyFiles]) -> str:
    """Of all that a report of these searches is made of."""
    total = hashlib.sha256()
    for files in searches:
        for path in _shown(files):
            total.update(f"{path.relative_to(files.root)} {_digest(path)}\n".encode())
        ledger = read_ledger(files.ledger).model_dump(mode="json", include=_SHOWN_OF_LEDGER)
        total.update(json.dumps(ledger, sort_keys=True).encode())
    return total.hexdigest()


def _shown(files: StudyFiles) -> list[Path]:
    own = [files.root / name for name in _SHOWN_OF_STUDY] + [files.model / "model.json"]
    own += [files.last_stage] if files.last_stage.is_file() else []  # earlier versions had none
    return own + sorted(path for folder in (files.test, files.runs) for path in _inside(folder) if path.is_file())


def _inside(folder: Path) -> Iterable[Path]:
    return (*folder.glob("*"), *(path for path in folder.glob("*/*") if path.parent.name != "old"))


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
