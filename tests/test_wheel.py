"""The package as others get it: built into a wheel and installed where no checkout is. An editable install finds files
that a wheel lacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_spaces import TINY_SPACES

CHECKOUT = Path(__file__).parent.parent
PATIENCE = 600.0  # seconds until a command that hangs is given up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment with the package installed from its wheel, and what it needs from here."""
    root = tmp_path_factory.mktemp("wheel")
    source = root / "source"  # the build writes beside what it builds
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    for name in ("study", "search_spaces"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _pip(sys.executable, "wheel", str(source), "--no-build-isolation", "--wheel-dir", str(root))
    (wheel,) = root.glob("digit_study-*.whl")
    venv.create(root / "env", with_pip=False)
    interpreter = root / "env" / "bin" / "python"
    (packages,) = (root / "env").glob("lib/python*/site-packages")
    # Folders that a .pth names come last, and a .pth in one of them is not read: this checkout is not among them.
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "others.pth").write_text("".join(f"{path}\n" for path in others), encoding="utf-8")
    _pip(str(interpreter), "install", str(wheel))
    return interpreter


def _pip(python: str, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", python, *words, "--no-deps", "--no-index", "--quiet"]
    subprocess.run(command, check=True, timeout=PATIENCE)


@pytest.fixture
def study(python: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the installed command in a folder that is not the checkout; returns what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: object) -> str:
        command = [str(python.parent / "study"), *map(str, words)]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_the_installed_package_is_not_the_checkout(python: Path, tmp_path: Path) -> None:
    code = "import study; print(study.__file__)"
    ended = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(ended.stdout).is_relative_to(python.parents[1])


def test_data_and_spaces_come_along(study: Callable[..., str]) -> None:
    assert sum(json.loads(study("data", "--format", "json"))["counts"]["train"]) == 60_000
    assert {row["family"] for row in json.loads(study("spaces", "list", "--format", "json"))} >= {"cnn", "mlp", "mixer"}


def test_a_whole_study_runs_to_its_report(
    study: Callable[..., str], tmp_path: Path, write_idx: Callable[[Path], Path]
) -> None:
    words: list[object] = ["--data-dir", write_idx(tmp_path / "digits"), "--name", "tiny", "--quiet"]
    for family, text in TINY_SPACES.items():
        (tmp_path / f"{family}.toml").write_text(text, encoding="utf-8")
        words += ["--space", tmp_path / f"{family}.toml"]
    said = study("run", *words, "--n-trials", "1", "--workers", "1")
    assert "report: results/tiny/report.html" in said
    page = (tmp_path / "results" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "Answer in brief" in page
    assert page.count("<section") > 10
    assert (tmp_path / "results" / "tiny" / "model" / "model.safetensors").is_file()
