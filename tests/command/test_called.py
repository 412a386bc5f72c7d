"""`Study.run` against what `study run` does, from a script and from a notebook."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tiny_spaces import TINY_SPACES

from study import Study
from study.command import called
from study.command.cli import main
from study.command.live import LiveTable
from study.data.datasets import Dataset
from study.errors import DataError, ResumeError, StudyError, UsageError
from study.interrupts import shielded
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, save_settings
from study.search.turns import Limits

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from study import Study

print("begun")
arrays = np.load("digits.npz")
study = Study.run(
    arrays["images"], arrays["labels"], name="mine", n_trials=1, workers=1, warm_start=False, evaluate=False,
    spaces=["mlp.toml", "cnn.toml"],
)
print(len(study.trials), study.families)
"""


class Notebook:
    """What IPython gives to a cell, kept for the test."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.displays = 0

    def display(self, shown: object, display_id: bool) -> Notebook:
        assert display_id
        self.displays += 1
        self.update(shown)
        return self

    def update(self, obj: object) -> None:
        self.pages.append(obj._repr_html_())  # type: ignore[attr-defined]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    found, ipython, display = Notebook(), ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    display.display = found.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found


def test_a_script_runs_a_study_of_arrays_and_a_notebook_goes_on_with_it_in_one_table(
    tmp_path: Path,
    mnist_slice: Dataset,
    notebook: Notebook,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = mnist_slice.images.numpy(), mnist_slice.labels.numpy()
    np.savez("digits.npz", images=images, labels=labels)
    for family in ("mlp", "cnn"):
        Path(f"{family}.toml").write_text(TINY_SPACES[family])
    Path("script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["begun", "2 ['mlp', 'cnn']"]  # no worker ran the script again
    assert "  1 of " in done.stderr
    assert main(["status", "--name", "mine"]) == 0
    assert "winner by validation: " in capsys.readouterr().out
    assert Path("results/mine/report.html").is_file()

    again = Study.run(images, labels, name="mine", n_trials=1, evaluate=False)
    assert len(again.trials) == 2
    assert notebook.displays == 1
    assert "this study is complete" in notebook.pages[-1]
    with pytest.raises(ResumeError, match="created with other arrays"):
        Study.run(images, labels[::-1], name="mine")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_the_table_of_a_notebook_changes_in_place(notebook: Notebook) -> None:
    now = [100.0]
    table = LiveTable(lambda: now[0])
    best = SimpleNamespace(value=0.9876, number=3)
    families = {name: SimpleNamespace(name=name, counted=4, best=one) for name, one in (("mlp", None), ("<b>", best))}
    search = SimpleNamespace(families=families, limits=Limits(deadline=160.0))
    table.stage("search", 60.0, 5.0)
    now[0] += 10
    table.search(search, None)  # type: ignore[arg-type]
    assert "<td>mlp</td><td>4</td><td>–</td><td>–</td>" in notebook.pages[-1]
    assert "<td>&lt;b&gt;</td><td>4</td><td>98.76 %</td><td>#3</td>" in notebook.pages[-1]
    assert "search · 0:55 left" in notebook.pages[-1]
    drawn = len(notebook.pages)
    table.search(search, None)  # type: ignore[arg-type]  # a moment later
    assert len(notebook.pages) == drawn
    table.stage("examine", 20.0)
    now[0] += 10
    table.step("latency")
    table.say("note: <i>")
    assert "examine · latency · 0:10 left" in notebook.pages[-1]
    assert "note: &lt;i&gt;" in notebook.pages[-1]
    table.end()
    assert "<b>done</b>" in notebook.pages[-1]
    assert notebook.displays == 1


IMAGES, LABELS = np.zeros((40, 28, 28), np.uint8), np.arange(40) % 10


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"images": IMAGES}, UsageError, "seen images alone, expected images and labels"),
        ({"test_images": IMAGES, "test_labels": LABELS}, UsageError, "alone, expected images and labels, too"),
        ({"images": IMAGES, "labels": LABELS, "dataset": "mnist"}, UsageError, "seen images beside dataset"),
        ({"images": IMAGES, "labels": LABELS[:3]}, DataError, "40 images in x_train, but 3 labels"),
        ({"images": IMAGES, "labels": LABELS, "families": ["mlp", "nope"]}, UsageError, "'nope' is unknown"),
        ({"images": IMAGES, "labels": LABELS, "budget": "5"}, UsageError, "duration '5' is not usable"),
        ({"dataset": "nope"}, UsageError, "'nope' is unknown"),
        ({"budget": -5.0}, UsageError, "budget: '-5.0' is not usable: expected a number above 0"),
        ({"images": [[1], [1, 2]], "labels": [1, 2]}, UsageError, "images are no array"),
        ({"images": IMAGES, "labels": LABELS}, DataError, "all pixels of the training part are alike"),
        ({"families": "mlp"}, UsageError, "seen the text 'mlp', expected a list"),
        ({"n_trials": 0}, UsageError, "n_trials: '0' is not usable: expected a whole number from 1 on"),
        ({"images": IMAGES, "labels": LABELS, "workers": 1.5}, UsageError, "workers: '1.5' is not usable"),
        ({"split_seed": -1}, UsageError, "split_seed: '-1' is not usable"),
        ({"sampler": "nope"}, UsageError, "sampler: 'nope' is not usable: expected one of tpe, random, qmc, grid"),
    ],
)
def test_what_is_wrong_is_said_as_the_command_says_it_and_leaves_nothing(
    asked: Mapping[str, object], error: type[StudyError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        Study.run(**asked, results=tmp_path / "results", quiet=True)  # type: ignore[arg-type]
    assert not (tmp_path / "results").exists() or not any((tmp_path / "results").iterdir())


def test_a_study_of_other_data_and_one_that_lost_its_arrays_take_no_others(
    make_settings: Callable[..., StudySettings], files: StudyFiles
) -> None:
    settings, place = make_settings({"mlp": TINY_SPACES["mlp"]}), files.root / f"{files.name}.npz"
    lost = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"data_dir": str(place)})})
    for one, error, said in (
        (settings, ResumeError, "created with data set slice, seen images beside it"),
        (lost, DataError, "sha256"),
    ):
        save_settings(one, files.settings)
        with pytest.raises(error, match=said):
            Study.run(IMAGES, LABELS, name=files.name, results=files.root.parent, evaluate=False, quiet=True)
        assert not place.exists()


def test_ctrl_c_waits_for_what_is_being_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = []

    def stages(*_: object, **__: object) -> None:
        with shielded():
            for _ in range(2):  # of which the second ends no notebook
                os.kill(os.getpid(), signal.SIGINT)
            written.append("whole")

    progress = SimpleNamespace(progress=SimpleNamespace(say=lambda text: None))
    monkeypatch.setattr(called, "at_work", lambda *_: contextlib.nullcontext(progress))
    monkeypatch.setattr(called, "run_stages", stages)
    with pytest.raises(KeyboardInterrupt):
        Study.run(results=tmp_path)
    assert written == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
