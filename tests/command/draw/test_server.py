"""The page to draw on, request by request, without a port."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from PIL import Image

from study.command import dashboard
from study.command.cli import main
from study.command.draw.server import MAX_BYTES, Drawing, application
from study.records.paths import StudyFiles
from study.search.storage import open_storage, storage_url

HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


def call(app: Any, method: str, path: str, body: bytes = b"", **environ: str) -> Answered:
    seen: list[Any] = []
    path, _, query = path.partition("?")
    asked = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "localhost:8081",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8081",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        **environ,
    }
    parts = app(asked, lambda status, headers, _exc=None: seen.append((status, dict(headers))))
    status, headers = seen[-1]
    return Answered(int(status.split()[0]), headers, b"".join(parts))


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def paper(*digits: np.ndarray) -> np.ndarray:
    """Digits side by side, dark on white and large, as they are drawn."""
    row = np.hstack([np.pad(digit, 14).repeat(5, 0).repeat(5, 1) for digit in digits])
    return np.asarray(255 - row, np.uint8)


@pytest.fixture
def app(shipped_study: StudyFiles) -> Any:
    return application(Drawing("small", shipped_study.model, shipped_study), HOSTS)


@pytest.mark.parametrize("several", [False, True])
def test_a_drawing_is_read_as_predict_reads_the_same_picture(
    app: Any,
    shipped_study: StudyFiles,
    digits: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    several: bool,
) -> None:
    for picture in [paper(*digits[0][i : i + 2]) if several else paper(digits[0][i]) for i in range(4)]:
        path = tmp_path / "drawn.png"
        path.write_bytes(encoded(picture))
        words = ["predict", str(path), "--model", str(shipped_study.model), "--top-k", "10", "--format", "json"]
        assert main([*words, *(["--segment"] if several else [])]) == 0
        said = json.loads(capsys.readouterr().out)
        read = json.loads(call(app, "POST", f"/draw/read{'?segment=yes' * several}", path.read_bytes()).body)
        assert len(read) == len(said) == (2 if several else 1)
        for one, row in zip(read, said, strict=True):
            assert (one["status"], one["label"], one["reason"]) == (row["status"], str(row["digit"]), row["reason"])
            assert one["set"] == [str(digit) for digit in row["set"]]
            by_class = {entry["digit"]: entry["probability"] for entry in row["top_k"]}
            assert one["probabilities"] == [by_class[digit] for digit in range(10)]
            assert one["seen"].startswith("data:image/png;base64,")


def test_every_family_s_finalist_says_what_it_reads(app: Any, digits: Any) -> None:
    (one,) = json.loads(call(app, "POST", "/draw/read", encoded(paper(digits[0][0]))).body)
    assert [opinion["title"] for opinion in one["finalists"]] == ["cnn #3", "mlp #3"]
    assert all(opinion["label"] in "0123456789" and 0.1 <= opinion["probability"] <= 1 for opinion in one["finalists"])


def test_a_finalist_whose_weights_are_gone_is_named_and_the_others_read(shipped_study: StudyFiles, digits: Any) -> None:
    shipped_study.run("cnn-final-seed0").weights.unlink()
    app = application(Drawing("small", shipped_study.model, shipped_study), HOSTS)
    assert "not there any more: cnn #3." in call(app, "GET", "/draw").body.decode()
    (one,) = json.loads(call(app, "POST", "/draw/read", encoded(paper(digits[0][0]))).body)
    assert [opinion["title"] for opinion in one["finalists"]] == ["mlp #3"]


def test_a_model_folder_alone_has_no_finalists(shipped_study: StudyFiles, digits: Any) -> None:
    app = application(Drawing("model", shipped_study.model, None), HOSTS)
    assert "finalist" not in call(app, "GET", "/draw").body.decode()
    (one,) = json.loads(call(app, "POST", "/draw/read", encoded(paper(digits[0][0]))).body)
    assert one["finalists"] == []


def test_two_digits_are_left_open_with_what_the_page_offers(app: Any, digits: Any) -> None:
    (one,) = json.loads(call(app, "POST", "/draw/read", encoded(paper(*digits[0][:2]))).body)
    assert (one["status"], one["reason"]) == ("abstain", "more than one digit; “several digits” reads them one by one")


def test_what_is_no_picture_is_said_so(app: Any) -> None:
    (one,) = json.loads(call(app, "POST", "/draw/read", b"no picture").body)
    assert one["status"] == "error"
    assert "not a picture" in one["reason"]
    assert one["seen"] is None


def test_a_study_that_ships_another_network_is_read_with_that(shipped_study: StudyFiles) -> None:
    drawing = Drawing("small", shipped_study.model, shipped_study)
    assert drawing.reader() is drawing.reader()
    first = drawing.reader()
    described = shipped_study.model / "model.json"
    described.write_text(described.read_text().replace('"trial": 3', '"trial": 4'))
    assert drawing.reader() is not first
    assert "mlp #4" in call(application(drawing, HOSTS), "GET", "/draw").body.decode()


def test_a_study_without_a_winner_has_no_page_yet(shipped_study: StudyFiles) -> None:
    shutil.rmtree(shipped_study.model)
    app = application(Drawing("small", shipped_study.model, shipped_study), HOSTS)
    for answered in (call(app, "GET", "/draw"), call(app, "POST", "/draw/read", b"x")):
        assert answered.status == 503
        assert b"no winner yet; continue it with `study run`" in answered.body


@pytest.mark.parametrize("path", ["/draw", "/draw/page.js", "/draw/page.css"])
def test_the_page_loads_only_its_own_files_and_stands_in_no_frame(app: Any, path: str) -> None:
    answered = call(app, "GET", path)
    assert answered.status == 200
    assert "default-src 'none'" in answered.headers["Content-Security-Policy"]
    assert "unsafe" not in answered.headers["Content-Security-Policy"]
    assert answered.headers["X-Frame-Options"] == "DENY"
    assert "://" not in answered.body.decode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 303),
        ("HEAD", "/draw", 200),
        ("GET", "/draw/read", 405),
        ("POST", "/draw", 403),
        ("GET", "/draw/../../pyproject.toml", 404),
        ("GET", "/else", 404),
    ],
)
def test_routes(app: Any, method: str, path: str, status: int) -> None:
    assert call(app, method, path).status == status


@pytest.mark.parametrize(("length", "status"), [("", 411), ("-1", 411), ("many", 411), (str(MAX_BYTES + 1), 413)])
def test_what_is_sent_has_a_length_within_bounds(app: Any, length: str, status: int) -> None:
    assert call(app, "POST", "/draw/read", CONTENT_LENGTH=length).status == status


@pytest.mark.parametrize(
    "headers",
    [{"HTTP_HOST": "evil.example"}, {"HTTP_ORIGIN": "http://evil.example"}, {"HTTP_SEC_FETCH_SITE": "cross-site"}],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/draw"), ("POST", "/draw/read")])
def test_a_foreign_page_is_refused(app: Any, method: str, path: str, headers: dict[str, str]) -> None:
    answered = call(app, method, path, **headers)
    assert answered.status == 403
    assert b"this page" in answered.body


def test_the_dashboard_has_the_page_too_and_stays_read_only(shipped_study: StudyFiles, digits: Any) -> None:
    storage = open_storage(storage_url(shipped_study, None))
    optuna.create_study(study_name="small/mlp", storage=storage)
    app = dashboard.application(shipped_study, None, HOSTS, write=False)
    assert b"Draw a digit" in call(app, "GET", "/draw").body
    assert len(json.loads(call(app, "POST", "/draw/read", encoded(paper(digits[0][0]))).body)) == 1
    assert call(app, "POST", "/draw/read", HTTP_ORIGIN="http://evil.example").status == 403
    assert call(app, "POST", "/draw").status == 403
    assert call(app, "DELETE", "/api/studies/1").status == 403


def test_whoever_serves_the_page_reads_with_one_thread(shipped_study: StudyFiles) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        Drawing("small", shipped_study.model, shipped_study).reader()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
