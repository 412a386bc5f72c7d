"""A whole study where everything around it is as it should not be: modules of the user's own in the current folder, a
path that means something else in a URL, an old locale, no home, a long folder for temporary files, another umask."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from study.data.datasets import load_train
from study.records.files import read_json
from study.records.paths import StudyFiles

PATIENCE = 180
COMMAND = Path(sysconfig.get_path("scripts")) / "study"
TRAPS = {*sys.stdlib_module_names, "study", "torch", "numpy", "optuna", "optuna_dashboard", "rich", "sqlalchemy", "PIL"}


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an ISO-8859-1 locale; where none can be made that of one without any encoding."""
    folder = tmp_path_factory.mktemp("locales")
    with suppress(OSError):
        words = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
        if subprocess.run(words, capture_output=True, timeout=PATIENCE).returncode == 0:
            return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}
    return {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A current folder whose modules say when they are imported."""
    folder = tmp_path / "what? 100% #1 {x}"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('{name} ')\n")
    yield folder
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()


@pytest.fixture
def environment(tmp_path: Path, latin: dict[str, str]) -> dict[str, str]:
    temporary = tmp_path / ("t" * 120)
    temporary.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "XDG_STATE_HOME") if name in os.environ}
    return kept | latin | {"TMPDIR": str(temporary), "HOME": "/nonexistent"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def watched(process: subprocess.Popen[str], port: int) -> bool:
    """Whether the dashboard answered while the command ran."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
            return bool(answer.status == 200)
        os.sched_yield()
    return False


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not installed")
def test_a_study_from_start_to_end(
    folder: Path,
    environment: dict[str, str],
    tiny_spaces: dict[str, Path],
    write_idx: Callable[[Path], Path],
    tmp_path: Path,
) -> None:
    write_idx(folder / "digits")

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *words],
            cwd=folder,
            env=environment,
            umask=0o002,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="latin-1",
        )

    def study(*words: str, remark: str = "") -> str:
        process = start(*words)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert err.startswith(remark), err
        assert err.count("\n") == (remark != ""), err
        return out

    port = free_port()
    spaces = [word for path in tiny_spaces.values() for word in ("--space", str(path))]
    flags = ["--n-trials", "1", "--workers", "1", "--name", "tiny", "--no-evaluate", "--dashboard", "--port", str(port)]
    process = start("run", "--data-dir", "digits", *spaces, *flags)
    assert watched(process, port), process.communicate(timeout=PATIENCE)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "report: results/tiny/report.html" in out
    assert "Traceback" not in err
    files = StudyFiles(folder / "results" / "tiny")
    assert read_json(files.report_json)["answer"]
    assert list(tmp_path.rglob("study.db*")) == [files.database]
    for path in (files.root, *files.root.rglob("*")):  # a colleague in the group can continue it
        assert stat.S_IMODE(path.stat().st_mode) & 0o070 == (0o070 if path.is_dir() else 0o060), path
    assert "mlp" in study("status", "--name", "tiny")
    assert "False" not in study("doctor", "--name", "tiny", "--data-dir", "digits")
    Image.fromarray(load_train("mnist").images[0].numpy()).save(folder / "né.png")
    assert "n\\u" not in study("predict", "--name", "tiny", "né.png", remark="a set holds all classes")
