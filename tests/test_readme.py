"""Every command of the README is run: on a slice of the digits, and with tiny budgets in place of minutes."""

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from study.command.cli import build_parser
from study.data.datasets import load_train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TINY = {"10m": "24s"}  # a study continues only when its budget grows


def commands() -> list[tuple[list[str], str | None]]:
    """The words of every line that begins with `study` in a shell block, and what the line after it says is printed."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    followed = zip(lines, [*lines[1:], ""], strict=True)
    return [
        (shlex.split(line.partition("#")[0])[1:], after.removeprefix("#> ") if after.startswith("#> ") else None)
        for line, after in followed
        if line.startswith("study ")
    ]


def is_printed(line: str, text: str) -> bool:
    """Whether the line is in the text, of whichever family and with other numbers."""
    general = re.sub(r"\d+", r"\\d+", re.escape(line)).replace("cnn", r"\w+")
    return re.search(rf"^{general}$", text, re.MULTILINE) is not None


def test_this_test_sees_what_is_not_printed() -> None:
    line = "winner: cnn #1, 99.56 % of the test images right (95 % interval 99.45 to 99.67 %)"
    assert is_printed(
        line, "before\nwinner: mlp #12, 9.56 % of the test images right (95 % interval 8.4 to 100.67 %)\n"
    )
    assert not is_printed(line, "winner by validation: cnn #1")


def shrunk(words: list[str], data: Path) -> list[str]:
    if words[0] != "run":
        return words
    if "--data-dir" in words:
        return ["12s" if word == "15m" else word for word in [*words, "--quiet"]]
    words = [TINY.get(word, word) for word in words]
    budget = [] if "--budget" in words else ["--budget", "12s"]
    return [*words, *budget, "--data-dir", str(data), "--quiet", *([] if "--name" in words else ["--name", "mnist"])]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 170


def test_every_verb_is_explained() -> None:
    verbs = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert [verb for verb in verbs if f"`{verb}`" not in README] == []


def test_paths_named_in_the_layout_exist() -> None:
    for path in re.findall(r"^\| `([a-z_]+/[a-z]*)`", README, re.MULTILINE):
        assert (ROOT / path).exists(), path


@pytest.fixture
def desk(tmp_path: Path, write_idx: Callable[[Path], Path]) -> Path:
    """A folder as a reader has it: the search spaces, a photo, and a slice of digits in place of the whole set."""
    (tmp_path / "search_spaces").symlink_to(ROOT / "search_spaces")
    Image.fromarray(load_train("mnist").images[0].numpy()).resize((140, 140)).save(tmp_path / "photo.png")
    write_idx(tmp_path / "digits")
    return tmp_path


def write_pictures(folder: Path) -> None:
    """Own digits as a reader has them: a PNG each, in a folder for each class."""
    train = load_train("mnist")
    for place, first, last in (("train", 0, 600), ("test", 600, 800)):
        for index in range(first, last):
            path = folder / place / str(int(train.labels[index])) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(train.images[index].numpy()).save(path)


def test_the_commands_work_in_the_order_of_the_readme(desk: Path) -> None:
    write_pictures(desk / "my-digits")
    found = commands()
    assert len(found) >= 8
    assert sum(printed is not None for _, printed in found) >= 5
    for words, printed in found:
        line = [sys.executable, "-m", "study", *shrunk(words, desk / "digits")]
        if words[0] in ("dashboard", "draw"):
            _serve_and_stop(line, desk, printed)
            continue
        done = subprocess.run(line, cwd=desk, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert printed is None or is_printed(printed, done.stdout), f"{words}: {done.stdout}"
    assert (desk / "results/mnist/report.html").stat().st_size > 1_000_000
    assert (desk / "results/second/report.html").exists()
    assert (desk / "results/my-digits/report.html").exists()
    assert (desk / "results/compare-mnist-second.html").exists()
    assert (desk / "mnist.html").exists()


def _serve_and_stop(line: list[str], desk: Path, printed: str | None) -> None:
    process = subprocess.Popen([*line, "--port", "8765"], cwd=desk, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        assert "http://127.0.0.1:8765" in said
        assert printed is None or is_printed(printed, said)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)


def test_the_python_examples_work(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    flags = ["--budget", "12s", "--data-dir", "digits", "--name", "mnist", "--quiet"]
    subprocess.run([sys.executable, "-m", "study", "run", *flags], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "study", "export", "--quiet"], check=True, capture_output=True)
    # In MNIST's own form neither way changes the picture: even a model of twelve seconds must agree with itself.
    Image.fromarray(load_train("mnist").images[0].numpy()).save("photo.png")
    predictor, exported = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    status, digit, *_ = _printed_by(predictor).split()
    assert status in {"ok", "abstain"}  # of a study that Study.run finds complete
    assert len([line for line in exported.splitlines() if line]) == 5
    assert _printed_by(exported).strip() == f"[{digit}]"


def _printed_by(example: str) -> str:
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
