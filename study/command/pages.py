"""The report and the model card of a study, served beside its dashboard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from study.command.guard import Application, Start
from study.records.paths import StudyFiles

REPORT_PATH, CARD_PATH = "/report", "/model-card"


def with_pages(app: Application, files: StudyFiles) -> Application:
    """`app`, and at /report and /model-card what the study has come to: 404 with a word about it while that is missing.
    A repeat shows what the study has whose search it is."""
    whole = files.whole
    pages = {
        REPORT_PATH: (
            whole.report_html,
            "text/html",
            f"`study report {files.named}` writes it, and so does `study run`",
        ),
        CARD_PATH: (whole.model_card, "text/plain", "`study run` writes it once the finalists are trained"),
    }

    def answered(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"].rstrip("/"))
        return app(environ, start_response) if page is None else _answer(environ, start_response, *page)

    return answered


def _answer(environ: dict[str, Any], start_response: Start, path: Path, kind: str, missing: str) -> Iterable[bytes]:
    try:
        status, body = "200 OK", path.read_bytes()
    except OSError:
        status, kind, body = "404 Not Found", "text/plain", f"{path} is not there yet: {missing}\n".encode()
    headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    # Made anew under the same address by the next command.
    start_response(status, [*headers, ("Cache-Control", "no-cache")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
