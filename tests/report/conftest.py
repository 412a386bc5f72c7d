"""Makes the synthetic studies importable, and builds each wanted one once per session."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
from synthetic import write_study

from study.report.page import build
from study.results import StudyFiles


@pytest.fixture(scope="session")
def case_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StudyFiles]:
    """Name of a case -> its folder, alone in a results folder of its own. Read-only for tests."""
    written: dict[str, StudyFiles] = {}

    def files(name: str) -> StudyFiles:
        if name not in written:
            written[name] = write_study(tmp_path_factory.mktemp("results") / name.replace(" ", "-"), cases.CASES[name])
        return written[name]

    return files


@pytest.fixture(scope="session")
def case_report(case_files: Callable[[str], StudyFiles]) -> Callable[[str], dict[str, Any]]:
    """Name of a case -> its report's numbers. Read-only for tests."""
    return cache(lambda name: build(case_files(name)))
