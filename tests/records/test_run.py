"""A run's folder, written and read; of older studies, too, whose files have the same keys."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from runs import METRICS, RECORD, ROW, history_row, run_metrics, run_record

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.records.paths import RunFiles
from study.records.run import (
    Run,
    is_done,
    lacking,
    parse_history_row,
    read_metrics,
    read_run,
    run_hash,
    set_aside,
    write_run,
)

CONFIG = {"family": "mlp", "width": [8], "dropout": 0.0}
HISTORY = (ROW, history_row(examples=200, validation_loss=0.7, validation_accuracy=0.5))


@pytest.fixture
def run(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "runs" / "mlp-t1-seed0")


def save(run: RunFiles, digest: str = "d", *, validation: bool = True) -> None:
    logits = np.arange(30, dtype=np.float32).reshape(3, 10)
    write_run(
        run,
        RECORD,
        CONFIG,
        HISTORY,
        METRICS,
        validation=(logits, np.array([1, 2, 3])) if validation else None,
        save_weights=lambda path: path.write_bytes(b"weights"),
        digest=digest,
    )


def test_what_is_written_is_read(run: RunFiles) -> None:
    save(run)
    assert read_run(run) == Run("mlp-t1-seed0", RECORD, CONFIG, METRICS, HISTORY)


def test_a_folder_holds_text_tables_and_logits(run: RunFiles) -> None:
    save(run)
    with run.history.open() as stream:
        header, first, second = csv.reader(stream)
    assert (header[0], header[4], header[5], header[6]) == (
        "examples",
        "validation_loss",
        "validation_accuracy",
        "seconds",
    )
    assert first == ["100", "0.5", "0.1", "2.0", "", "", "0.1"]
    assert second[5] == "0.5"
    found = read_json(run.metrics)
    assert (found["nll"], found["nll_scaled"]) == (METRICS.nll, METRICS.nll_scaled)  # plain, and under the temperature
    assert (found["examples"], found["steps"]) == (RECORD.examples, RECORD.steps)
    assert run.config.read_text().startswith('[run]\nfamily = "mlp"\ntrial = 3\nrole = "candidate"\n')
    with np.load(run.validation) as arrays:
        assert arrays["logits"].shape == (3, 10)
        assert arrays["labels"].tolist() == [1, 2, 3]


def test_a_run_without_metrics_and_history_is_read_all_the_same(run: RunFiles) -> None:
    save(run)
    run.metrics.unlink()
    run.history.unlink()
    found = read_run(run)
    assert (found.metrics, found.history) == (None, ())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.toml", None, r"config\.toml is missing; rerun `study retrain`"),
        ("config.toml", "[run]\n", r"config\.toml is damaged .* the tables \[run\] and \[config\]; move .*seed0 away"),
        ("config.toml", "[run\n", r"config\.toml is damaged"),
        ("metrics.json", '{"accuracy": 0.5}', r"metrics\.json is damaged \(KeyError\('nll'\)\); move .*seed0 away"),
        ("metrics.json", "[]", r"metrics\.json is damaged"),
        ("metrics.json", "{", r"metrics\.json is not JSON"),
        ("history.csv", "examples,epoch\n1,2\n", r"history\.csv is damaged"),
    ],
)
def test_a_damaged_file_is_named(run: RunFiles, name: str, text: str | None, said: str) -> None:
    save(run)
    (run.root / name).unlink()
    if text is not None:
        (run.root / name).write_text(text)
    with pytest.raises(ResultsError, match=said):
        read_run(run)


def test_a_row_kept_with_a_state_is_read_whether_it_has_text_or_numbers() -> None:
    """Earlier versions kept an empty text where there is no number."""
    kept = {"examples": 100, "epoch": 0.5, "learning_rate": 0.1, "train_loss": 2.0, "seconds": 0.1}
    for nothing in ("", None):
        assert parse_history_row(kept | {"validation_loss": nothing, "validation_accuracy": nothing}) == ROW


@pytest.mark.parametrize(
    ("role", "lost"), [("candidate", ["validation.npz", "model.safetensors"]), ("ablation", []), ("final", None)]
)
def test_what_a_run_lacks_depends_on_what_it_is_for(run: RunFiles, role: str, lost: list[str] | None) -> None:
    write_run(
        run,
        run_record(role=role),
        CONFIG,
        HISTORY,
        run_metrics(accuracy=None),
        validation=None,
        save_weights=lambda path: path.write_bytes(b""),
        digest="d",
    )
    run.weights.unlink()
    expected = ["model.safetensors"] if lost is None else lost
    assert {path.name for path in lacking(run)} == set(expected)


def test_the_same_run_is_done(run: RunFiles) -> None:
    assert not is_done(run, "d")
    save(run, "d")
    assert is_done(run, "d")
    assert run.root.exists()


def test_another_run_s_folder_is_moved_away_whole(run: RunFiles) -> None:
    save(run, "before")
    assert not is_done(run, "now")
    assert not run.root.exists()
    (old,) = (run.root.parent / "old").iterdir()
    assert old.name.startswith("mlp-t1-seed0-")
    assert RunFiles(old).is_done()
    assert RunFiles(old).weights.exists()


def test_the_same_name_can_be_set_aside_twice(run: RunFiles) -> None:
    for _ in range(2):
        save(run)
        set_aside(run)
    assert len(list((run.root.parent / "old").iterdir())) == 2


def test_an_unfinished_folder_is_written_over(run: RunFiles) -> None:
    write_json(run.metrics, {"accuracy": 0.1})
    assert not is_done(run, "d")
    save(run, "d")
    assert is_done(run, "d")
    assert read_metrics(run).accuracy == 0.5


def test_a_run_s_identity_ignores_the_order_of_keys_and_nothing_else() -> None:
    one = {"config": {"a": 1, "b": 2}, "seed": 3}
    assert run_hash(one) == run_hash({"seed": 3, "config": {"b": 2, "a": 1}})
    assert run_hash(one) != run_hash(one | {"seed": 4})
    assert run_hash(one) != run_hash({"config": {"a": 1, "b": 3}, "seed": 3})
