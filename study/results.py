"""Where everything of a study lives, and how it is written: whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import secrets
import shlex
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import ResultsError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REPEAT = re.compile(r".+-repeat-(\d+)")
RESERVED_NAMES = frozenset({"reference"})
EXPORT, EARLIER_EXPORT = (
    "model.onnx",
    "model-earlier.onnx",
)  # in model/: of its network, and of one that was there before


def check_study_name(name: str) -> str:
    """Return `name`, or raise UsageError: it becomes a folder, a URL and an Optuna study name."""
    if not _NAME.fullmatch(name):
        shown = ascii(name if len(name) <= 70 else name[:67] + "...")
        raise UsageError(
            f"study name {shown} is not usable: expected 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit; choose another with --name"
        )
    if name in RESERVED_NAMES:
        raise UsageError(f"study name '{name}' is reserved for the committed sample; choose another with --name")
    return name


@dataclass(frozen=True)
class StudyFiles:
    """The paths of one study, `results/<name>/`."""

    root: Path

    @property
    def name(self) -> str:
        """The study's name: its folder's; a repeat has that of the folder of the study whose search it is."""
        study, number = self.repeat_of, _REPEAT.fullmatch(self._folder.name)
        return f"{study}-repeat-{number[1]}" if study and number else self._folder.name

    @property
    def repeat_of(self) -> str | None:
        """The study of which this folder holds a further search, by its place; None for a study."""
        study = StudyFiles(self._folder.parent.parent)
        is_repeat = self._folder.parent.name == "repeats" and _REPEAT.fullmatch(self._folder.name)
        known = study.exists() or self._folder.name.startswith(f"{study.root.name}-repeat-")
        return study.root.name if is_repeat and known else None

    @property
    def _folder(self) -> Path:
        """The root with the folders above it; `.` and `..` have no name of their own."""
        return self.root.absolute() if self.root.name not in ("", "..") else self.root.resolve()

    @property
    def settings(self) -> Path:
        return self.root / "study.toml"

    @property
    def database(self) -> Path:
        return self.root / "study.db"

    @property
    def trials_jsonl(self) -> Path:
        return self.root / "trials.jsonl"

    @property
    def trials_csv(self) -> Path:
        return self.root / "trials.csv"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.json"

    @property
    def samples(self) -> Path:
        return self.root / "samples.npz"

    @property
    def finalists(self) -> Path:
        return self.root / "finalists.json"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def test(self) -> Path:
        return self.root / "test"

    @property
    def seal(self) -> Path:
        return self.test / "seal.json"

    @property
    def predictions(self) -> Path:
        return self.test / "predictions.npz"

    @property
    def candidate_predictions(self) -> Path:
        return self.test / "candidates.npz"

    @property
    def duplicates(self) -> Path:
        return self.test / "duplicates.json"

    @property
    def ablation(self) -> Path:
        return self.root / "ablation.json"

    @property
    def audit(self) -> Path:
        return self.root / "audit.json"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    @property
    def model(self) -> Path:
        return self.root / "model"

    def repeat(self, number: int) -> StudyFiles:
        """The folder of the study's search `number`, from 2 on: a study of its own; the first search is in this one.

        A study that was copied or renamed has its searches in folders of the name that it had.
        """
        here = self.root / "repeats" / f"{self.name}-repeat-{number}"
        if here.exists():
            return StudyFiles(here)
        before = sorted(self.root.glob(f"repeats/*-repeat-{number}/study.toml"))
        return StudyFiles(before[0].parent if before else here)

    def repeats(self, n_searches: int) -> list[StudyFiles]:
        """The folders of all searches but the first, whether they have begun or not."""
        return [self.repeat(number) for number in range(2, n_searches + 1)]

    @property
    def study_name(self) -> str:
        """The name that commands take: for a repeat that of the study whose search it is."""
        return self.repeat_of or self.name

    @property
    def named(self) -> str:
        """The flags with which a command means this study, or the one whose search this is."""
        root = self.root.parent.parent if self.repeat_of else self.root
        results = [] if root.parent == Path("results") else ["--results", str(root.parent)]
        return shlex.join(["--name", self.study_name, *results])

    def run(self, name: str) -> RunFiles:
        return RunFiles(self.runs / name)

    def exists(self) -> bool:
        return self.settings.is_file()


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, `runs/<run>/`; the run counts only once DONE is there."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def history(self) -> Path:
        return self.root / "history.csv"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def validation(self) -> Path:
        return self.root / "validation.npz"

    @property
    def weights(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def state(self) -> Path:
        """Names the states from which a run that was cut short goes on."""
        return self.root / "state.json"

    @property
    def done(self) -> Path:
        return self.root / "DONE"

    def is_done(self) -> bool:
        return self.done.is_file()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success flush it to the disk and rename it into place. Who may read
    and write the file is for the user's umask to say, as with any other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    part.touch(mode=0o666, exist_ok=False)
    mode = part.stat().st_mode
    try:
        yield part
        part.chmod(mode)  # a library may have put another file in its place
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def read_text(path: Path) -> str:
    """A file's text, which is UTF-8 whatever the locale; without the mark that some editors put at its start."""
    return path.read_text(encoding="utf-8-sig")


def write_json(path: Path, value: Any) -> None:
    """Strict JSON: a non-finite number is an error of the program, never a token that browsers refuse."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing; run the stage that writes it, or `study run`") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is not JSON ({error}); move it away and rerun the stage that writes it") from None


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


_SEAL = b', "crc32": "%08x"}'  # the end of a line: the checksum of all before it, closed by a brace


def append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record with its checksum and force it to the disk before returning."""
    body = json.dumps(record, ensure_ascii=True, allow_nan=False).encode()
    with path.open("ab") as stream:
        # A crash can leave a torn last line, which never counted; the next record must not be glued to it.
        stream.truncate(_whole_lines(path))
        stream.write(body.removesuffix(b"}") + _SEAL % zlib.crc32(body) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _whole_lines(path: Path) -> int:
    """Bytes up to and with the last newline."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        if stream.read(1) in (b"", b"\n"):
            return size
        stream.seek(0)
        return stream.read().rfind(b"\n") + 1


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read records whose checksum holds. A record counts once its newline is written: a torn last line (a crash while
    appending) is left out; any other damage raises ResultsError with its line number."""
    if not path.exists():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, 1):
        record = _parse_line(line)
        if record is None:
            raise ResultsError(
                f"{path} line {number} is damaged: its checksum does not match; "
                "restore the file, or start a new study with --from"
            )
        records.append(record)
    return records


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    checksum = record.pop("crc32", None)
    # Of the bytes, since writing ten thousand records again to look at them took as long as reading them.
    cut = len(line) - len(_SEAL % 0)
    body = line[:cut] + b"}"
    if line[cut:] == _SEAL % zlib.crc32(body) or checksum == _checksum_of_sorted(record):
        return record
    return None


def _checksum_of_sorted(record: Mapping[str, Any]) -> str:
    """What older lines hold: the checksum of the record with its keys in order."""
    return f"{zlib.crc32(json.dumps(record, sort_keys=True, allow_nan=False).encode()):08x}"


def prepare_results_folder(root: Path) -> None:
    """Create a study's folder and prove that it can be written, before any work is spent."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise ResultsError(
            f"results folder {root} cannot be written ({error.strerror}); expected a writable folder: "
            "choose another with --results"
        ) from None


def done_runs(files: StudyFiles) -> list[str]:
    """Names of the finished runs of a study, sorted."""
    if not files.runs.is_dir():
        return []
    return sorted(path.parent.name for path in files.runs.glob("*/DONE") if path.parent.name != "old")


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Named arrays in one file, as `np.load` reads it; no pickles."""
    # Imported here: processes that only look up where a file lies do without it.
    import numpy as np

    with replacing(path) as part, part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def write_with(path: Path, writer: Callable[[Path], object]) -> None:
    """Let `writer` fill a file beside `path`, then put it in place whole."""
    with replacing(path) as part:
        writer(part)
