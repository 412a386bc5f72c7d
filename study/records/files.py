"""How a study's files are written, whole or not at all, and read."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import ResultsError

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def append_jsonl(path: Path, *records: Mapping[str, Any]) -> None:
    """Append records, each with its checksum, and force them to the disk before returning."""
    lines = b"".join(map(_sealed, records))
    with path.open("ab") as stream:
        # A crash can leave a torn last line, which never counted; the next record must not be glued to it.
        stream.truncate(_whole_lines(path))
        stream.write(lines)
        stream.flush()
        os.fsync(stream.fileno())


def _sealed(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=True, allow_nan=False).encode()
    return body.removesuffix(b"}") + _SEAL % zlib.crc32(body) + b"\n"


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
