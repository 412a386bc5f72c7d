"""Configurations that a user proposes to a study while it is searched: a file each in its folder, for the search.

A file is complete as soon as it is there, and stays: which of them were tried is told by the study's trials.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from pydantic import ValidationError

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.records.paths import StudyFiles
from study.records.settings import GivenConfiguration


def write_proposal(files: StudyFiles, proposal: GivenConfiguration) -> Path:
    """Add it behind those that are there; returns its file, whose name no other command gives to another."""
    path = files.proposed / f"{time.time_ns()}-{secrets.token_hex(4)}.json"
    write_json(path, proposal.model_dump())
    return path


def read_proposals(files: StudyFiles) -> list[GivenConfiguration]:
    """All that were proposed, in their order. ResultsError names a file that is damaged."""
    return [_read(path) for path in sorted(files.proposed.glob("*.json"))]


def _read(path: Path) -> GivenConfiguration:
    try:
        return GivenConfiguration.model_validate(read_json(path))
    except ValidationError as error:
        line = " ".join(str(error).split())[:160]
        raise ResultsError(f"{path}: no proposed configuration ({line}); remove it, and propose it again") from None
