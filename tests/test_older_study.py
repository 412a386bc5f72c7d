"""A study that an earlier version made is reported as then, continued in its own form, read and compared.

`older_study.tar.xz` is one of three trials a family, made at commit 9afd36f (trials in form 1) on the first thousand
training images, 800 of them to train and validate and 200 in place of test images; `said.json` is the report of then.
The model's weights and the report are left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from same_report import differences

from study import Study
from study.records.files import read_json, read_jsonl
from study.records.paths import StudyFiles


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the study `before`; `said.json` is beside it."""
    folder = tmp_path_factory.mktemp("older") / "results"
    with tarfile.open(Path(__file__).with_name("older_study.tar.xz")) as archive:
        # Python 3.11 before its fourth patch knows no filter.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder, **safely)
    return folder


def study(*words: str, results: Path) -> None:
    line = [sys.executable, "-m", "study", *words, "--results", str(results)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=results.parent)
    assert done.returncode == 0, f"{words}: {done.stderr}"


def test_its_report_says_what_it_said(results: Path) -> None:
    study("report", "--name", "before", results=results)
    assert differences(read_json(results / "said.json"), read_json(StudyFiles(results / "before").report_json)) == []


def test_it_is_continued_in_its_own_form_and_compared(
    results: Path, write_idx: Callable[[Path], Path], tmp_path: Path
) -> None:
    more = StudyFiles(tmp_path / "results" / "more")
    shutil.copytree(results / "before", more.root)
    before = more.trials_jsonl.read_bytes()
    words = ["--n-trials", "4", "--workers", "1", "--quiet", "--data-dir", str(write_idx(tmp_path / "digits"))]
    study("run", "--name", "more", *words, results=more.root.parent)
    assert more.trials_jsonl.read_bytes().startswith(before)
    lines = read_jsonl(more.trials_jsonl)
    assert len(lines) == 8
    assert all({"seconds", "nll", "value"} <= line.keys() for line in lines)
    continued = Study.open(more.root)
    assert continued.trials["nll_scaled"].notna().all()
    assert set(continued.leaderboard["kind"]) >= {"finalist", "baseline"}
    assert (more.model / "model.safetensors").is_file()
    assert read_json(more.model / "model.json")["reading"] is None
    assert not more.shipped_predictions.exists()
    study("compare", str(results / "before"), str(more.root), results=results)
    page = json.loads(next(results.glob("compare-*.json")).read_text())
    assert [one["label"] for one in page["studies"]] == ["before", "more"]
