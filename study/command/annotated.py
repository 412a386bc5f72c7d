"""The dashboard's answers with a note on each trial, and without what nobody reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from study.command.few_trials import FewTrials
from study.command.guard import Application, Start
from study.dashboard.notes import Notes

_STUDY = re.compile(r"/api/studies/(\d+)/?")
_FOR_PROGRAMS = frozenset({"config", "rungs"})  # attributes that the notes say in words


def with_notes(app: Application, storage: FewTrials, notes: Notes, may_edit: Callable[[], bool]) -> Application:
    """`app`, whose answers about this study's parts get notes where there is none: the dashboard itself would look
    through all of a study's notes for each of its trials. While notes can be edited, the study's is as it is stored."""

    def answered(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        asked = _STUDY.fullmatch(environ["PATH_INFO"])
        if asked is None or environ["REQUEST_METHOD"] != "GET":
            return app(environ, start_response)
        status, headers, body = _called(app, environ)
        if status.startswith("200"):
            detail = json.loads(body)
            if notes.is_own(detail["name"]):
                _annotate(detail, notes, storage, int(asked[1]), with_verdict=not may_edit())
            body = json.dumps(detail).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return answered


def _called(app: Application, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers but for the length, and body."""
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        seen.append((status, headers))

    body = b"".join(app(environ, start_response))
    status, headers = seen[-1]
    return status, [(name, value) for name, value in headers if name.lower() != "content-length"], body


def _annotate(detail: dict[str, Any], notes: Notes, storage: FewTrials, study_id: int, *, with_verdict: bool) -> None:
    part = detail["name"].rpartition("/")[2]
    known = {trial.number: trial for trial in storage.get_all_trials(study_id, deepcopy=False)}
    for shown in [*detail["trials"], *detail["best_trials"]]:
        if not shown["note"]["body"] and shown["number"] in known:
            shown["note"]["body"] = notes.on_trial(part, known[shown["number"]])
        shown["artifacts"].sort(key=lambda artifact: artifact["filename"])
        shown["user_attrs"] = [_rounded(attr) for attr in shown["user_attrs"] if attr["key"] not in _FOR_PROGRAMS]
    detail["union_user_attrs"] = [one for one in detail["union_user_attrs"] if one["key"] not in _FOR_PROGRAMS]
    if with_verdict:
        detail["note"]["body"] = f"{storage.remark(study_id)}{notes.on_study()}\n{detail['note']['body']}"


def _rounded(attr: Mapping[str, str]) -> Mapping[str, str]:
    """A number of many digits to four of them."""
    try:
        value = float(attr["value"])
    except ValueError:
        return attr
    return attr if value.is_integer() or len(attr["value"]) < 8 else {**attr, "value": f"{value:.4g}"}
