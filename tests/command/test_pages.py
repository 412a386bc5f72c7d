"""The report and the model card beside the dashboard, without a port."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from study.command.guard import Start
from study.command.pages import with_pages
from study.records.paths import StudyFiles


def below(_environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"the dashboard"]


def ask(files: StudyFiles, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    """Status, headers and body of one request."""
    seen: list[tuple[str, list[tuple[str, str]]]] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    body = b"".join(with_pages(below, files)(environ, lambda status, headers: seen.append((status, headers))))
    ((status, headers),) = seen
    return int(status.split()[0]), dict(headers), body.decode()


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    files = StudyFiles(tmp_path / "tiny")
    files.model.mkdir(parents=True)
    files.report_html.write_text("<!doctype html>é", encoding="utf-8")
    files.model_card.write_text("# A model", encoding="utf-8")
    return files


def test_the_report_and_the_model_card_are_served(files: StudyFiles) -> None:
    status, headers, body = ask(files, "/report")
    assert (status, headers["Content-Type"], body) == (200, "text/html; charset=utf-8", "<!doctype html>é")
    assert ask(files, "/report/")[2] == body
    status, headers, body = ask(files, "/model-card")
    assert (status, headers["Content-Type"], body) == (200, "text/plain; charset=utf-8", "# A model")


def test_only_these_two(files: StudyFiles) -> None:
    for path in ("/", "/report.json", "/report/../study.toml", "/reports"):
        assert ask(files, path)[2] == "the dashboard"


def test_the_head_has_the_length_and_no_body(files: StudyFiles) -> None:
    status, headers, body = ask(files, "/report", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "17", "")


@pytest.mark.parametrize("path", ["/report", "/model-card"])
def test_what_is_missing_is_said(tmp_path: Path, path: str) -> None:
    status, _, body = ask(StudyFiles(tmp_path / "tiny"), path)
    assert status == 404
    assert "is not there yet: `study" in body


def test_a_repeat_shows_what_its_study_has(files: StudyFiles) -> None:
    files.settings.write_text("")
    assert ask(files.repeat(2), "/report")[0] == 200
