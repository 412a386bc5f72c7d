"""Makes the synthetic studies importable, and builds each wanted one once per session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
import chromium
from synthetic import write_study

from study.records.paths import StudyFiles
from study.report.comparison import page as comparison_page
from study.report.comparison.compared import Compared
from study.report.comparison.entries import read_entries
from study.report.page import make, numbers_of
from study.report.rendering import render
from study.report.section import Report


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
def case_made(case_files: Callable[[str], StudyFiles]) -> Callable[[str], Report]:
    """Name of a case -> its report. Read-only for tests."""
    return cache(lambda name: make(case_files(name)))


@pytest.fixture(scope="session")
def case_report(case_made: Callable[[str], Report]) -> Callable[[str], dict[str, Any]]:
    """Name of a case -> its report's numbers as report.json has them. Read-only for tests."""
    return cache(lambda name: numbers_of(case_made(name)))


@pytest.fixture(scope="session")
def case_page(case_made: Callable[[str], Report]) -> Callable[[str], str]:
    """Name of a case -> its report's page."""
    return cache(lambda name: render(case_made(name)))


@pytest.fixture(scope="session")
def compared_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[StudyFiles]]:
    """Name of a comparison -> its studies, alone in a results folder. Read-only for tests."""

    @cache
    def files(name: str) -> list[StudyFiles]:
        root = tmp_path_factory.mktemp("compared")
        return [write_study(root / study, wanted) for study, wanted in cases.COMPARISONS[name].items()]

    return files


@pytest.fixture(scope="session")
def compared(compared_files: Callable[[str], list[StudyFiles]]) -> Callable[[str], Compared]:
    """Name of a comparison -> it. Read-only for tests."""
    return cache(lambda name: comparison_page.make(read_entries(compared_files(name))))


@pytest.fixture(scope="session")
def comparison(compared: Callable[[str], Compared]) -> Callable[[str], dict[str, Any]]:
    """Name of a comparison -> its numbers as its JSON has them. Read-only for tests."""
    return cache(lambda name: comparison_page.numbers_of(compared(name)))


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Driver]:
    driver = chromium.start()
    yield driver
    driver.quit()
