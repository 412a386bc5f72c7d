"""A run's folder: what it was, its configuration, its history and its metrics; whether it is done and whole."""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tomli_w

from study.errors import ResultsError
from study.records.files import read_json, read_text, write_csv, write_json, write_npz, write_text, write_with
from study.records.paths import RunFiles
from study.records.settings import plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Precision = Literal["bf16", "fp32"]
DataPart = Literal["train", "train+validation"]
RunRole = Literal["candidate", "final", "ablation", "trained", "last stage"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run is: whose configuration, trial -1 for one that no search tried, in which role, under which seed, on
    which part of the training file, for how long, on what. `mean` and `std` are of pixels in [0, 1]. `node` is the host
    name of the machine that trained it, None until one did, and where that was not recorded. `on_black` says that
    pictures on other ground are brought onto black before they are read, which older runs do not."""

    family: str
    trial: int
    role: RunRole
    seed: int
    seed_index: int
    data_part: DataPart
    examples: int
    steps: int
    n_classes: int
    mean: float
    std: float
    device: str
    precision: Precision
    threads: int
    node: str | None = None
    on_black: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer does in words, the shape of its output for one image, and its trainable weights."""

    kind: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """How a run ended: accuracy (a fraction), plain NLL, the NLL under the fitted temperature, and that temperature, on
    validation images, None where it had learned from them; the mean loss since its last mark; the model's size; the
    seconds that it trained, and all seconds that it took; its layers in the order in which they work, none in runs of
    older versions."""

    accuracy: float | None
    nll: float | None
    nll_scaled: float | None
    temperature: float | None
    train_loss: float
    n_parameters: int
    flops: int
    training_seconds: float
    seconds: float
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A run at one of its marks: the mean loss since the last one, plain NLL and accuracy on validation, None for a run
    that learns from those images, and the seconds of training so far."""

    examples: int
    epoch: float
    learning_rate: float
    train_loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its folder tells it; `metrics` is None and `history` empty where their files are missing."""

    name: str
    record: RunRecord
    config: Mapping[str, Any]
    metrics: RunMetrics | None
    history: tuple[HistoryRow, ...]


_HISTORY = tuple(field.name for field in fields(HistoryRow))
_ALWAYS_TOLD = tuple(field.name for field in fields(RunRecord) if field.name not in ("node", "on_black"))


# --- reading ---------------------------------------------------------------------------------------------------------


def read_run(files: RunFiles) -> Run:
    """ResultsError names the file that is missing or damaged, and what to do."""
    record, config = _read_config(files)
    metrics = read_metrics(files) if files.metrics.is_file() else None
    return Run(files.root.name, record, config, metrics, _read_history(files))


def read_record(files: RunFiles) -> RunRecord:
    """ResultsError as for `read_run`."""
    return _read_config(files)[0]


def read_metrics(files: RunFiles) -> RunMetrics:
    """ResultsError if they are missing or damaged."""
    found = read_json(files.metrics)
    try:
        known = {field.name: found[field.name] for field in fields(RunMetrics) if field.name != "layers"}
        layers = tuple(Layer(one["kind"], tuple(one["shape"]), one["parameters"]) for one in found.get("layers", ()))
        return RunMetrics(**known, layers=layers)
    except (KeyError, TypeError) as error:
        raise _damaged(files.metrics, error, files) from None


def parse_history_row(cells: Mapping[str, Any]) -> HistoryRow:
    """From text or numbers, an empty cell where there is none. KeyError, TypeError or ValueError if it is no row."""
    return HistoryRow(
        examples=int(float(cells["examples"])),
        epoch=float(cells["epoch"]),
        learning_rate=float(cells["learning_rate"]),
        train_loss=float(cells["train_loss"]),
        validation_loss=_number(cells["validation_loss"]),
        validation_accuracy=_number(cells["validation_accuracy"]),
        seconds=float(cells["seconds"]),
    )


def _number(cell: Any) -> float | None:
    return None if cell in ("", None) else float(cell)


def _read_config(files: RunFiles) -> tuple[RunRecord, dict[str, Any]]:
    try:
        content = tomllib.loads(read_text(files.config))
        told = content["run"]
        known = {name: told[name] for name in _ALWAYS_TOLD}
        record = RunRecord(**known, node=told.get("node"), on_black=told.get("on_black", False))
        return record, dict(content["config"])
    except FileNotFoundError:
        raise ResultsError(f"{files.config} is missing; rerun `study retrain`") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(files.config, error, files, ", expected the tables [run] and [config]") from None


def _read_history(files: RunFiles) -> tuple[HistoryRow, ...]:
    if not files.history.is_file():
        return ()
    try:
        with files.history.open(newline="", encoding="utf-8") as stream:
            return tuple(parse_history_row(row) for row in csv.DictReader(stream))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(files.history, error, files) from None


def _damaged(path: Path, error: Exception, files: RunFiles, expected: str = "") -> ResultsError:
    return ResultsError(f"{path} is damaged ({error!r}){expected}; move {files.root} away and rerun `study retrain`")


def as_toml(family: str, config: Mapping[str, Any]) -> str:
    """A configuration file: flat, its family first."""
    known = {key: value for key, value in config.items() if value is not None}
    return tomli_w.dumps({"family": family} | plain(known))


# --- writing ---------------------------------------------------------------------------------------------------------


def write_run(
    files: RunFiles,
    record: RunRecord,
    config: Mapping[str, Any],
    history: Sequence[HistoryRow],
    metrics: RunMetrics,
    *,
    validation: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
    save_weights: Callable[[Path], object],
    digest: str,
) -> None:
    """Write a run's folder, DONE last; `validation` are logits [N, C] and labels [N]."""
    files.root.mkdir(parents=True, exist_ok=True)
    told = {name: value for name, value in asdict(record).items() if value is not None}
    write_text(files.config, tomli_w.dumps({"run": told, "config": dict(config)}))
    write_csv(files.history, _HISTORY, [[getattr(row, name) for name in _HISTORY] for row in history])
    write_json(files.metrics, {**asdict(metrics), "examples": record.examples, "steps": record.steps})
    if validation is not None:
        logits, labels = validation
        write_npz(files.validation, {"logits": logits, "labels": labels})
    write_with(files.weights, save_weights)
    write_json(files.done, {"hash": digest})


# --- what a retraining calls its runs ------------------------------------------------------------------------------


def candidate_run(family: str, trial: int, index: int) -> str:
    """The run of a candidate under its seed `index`, from 0 on."""
    return f"{family}-t{trial}-seed{index}"


def final_run(family: str, index: int) -> str:
    """The run of a family's finalist on train + validation under its seed `index`, from 0 on."""
    return f"{family}-final-seed{index}"


_STAGED = "-hands"


def last_stage_run(run: str) -> str:
    """What comes of a run by the last stage."""
    return run + _STAGED


def is_of_last_stage(run: str) -> bool:
    return run.endswith(_STAGED)


# --- whether it is done ----------------------------------------------------------------------------------------------


def run_hash(identity: Mapping[str, Any]) -> str:
    """sha256 of what makes a run the same run: configuration, data part, seed and schedule."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def is_done(files: RunFiles, digest: str) -> bool:
    """True if this very run is finished and whole. A folder of another run, or one that has lost a file, is moved to
    `runs/old/`."""
    if not files.is_done():
        return False
    if read_json(files.done).get("hash") == digest and not lacking(files):
        return True
    set_aside(files)
    return False


def lacking(files: RunFiles) -> list[Path]:
    """The files of a finished run that are not there; DONE itself for one that has not ended."""
    needed = [files.done, files.config, files.metrics, files.history]
    role, part = _role_and_part(files)
    if role != "ablation":  # whose weights are of no use once its validation logits are there
        needed.append(files.weights)
    if role == "candidate" or (role, part) == ("last stage", "train"):
        needed.append(files.validation)
    return [path for path in needed if not path.is_file()]


def _role_and_part(files: RunFiles) -> tuple[RunRole | None, DataPart | None]:
    try:
        record = read_record(files)
        return record.role, record.data_part
    except ResultsError:
        return None, None


def set_aside(files: RunFiles) -> Path:
    old = files.root.parent / "old" / f"{files.root.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    old.parent.mkdir(parents=True, exist_ok=True)
    return files.root.rename(old)


def newest_state(files: RunFiles) -> dict[str, bytes]:
    """The newest state of an unfinished run as files by name, with the one that names it; none where there is none.

    A run that writes another one meanwhile may leave the two unlike, which `load` sees.
    """
    try:
        naming = files.state.read_bytes()
        name = str(json.loads(naming)["states"][0]["file"])
        return {name: (files.root / name).read_bytes(), files.state.name: naming}
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return {}
