from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made import compare

from study.records.paths import StudyFiles
from study.records.trial import read_trials

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def test_a_copy_and_its_original_are_said_to_share_their_trials(compared_files: Compared, tmp_path: Path) -> None:
    first, second = compared_files("clear win")
    copy = StudyFiles(shutil.copytree(first.root, tmp_path / "copy"))
    found = compare([first, second, copy])
    (shared,) = found["shared_trials"]
    assert shared == {"studies": [first.name, "copy"], "trials": len(read_trials(first.trials_jsonl))}
    (said,) = [item["text"] for item in found["limits"]["items"] if item["flag"] == "not independent"]
    assert said.startswith(f"Studies {first.name} and copy have {shared['trials']} trials in common")
