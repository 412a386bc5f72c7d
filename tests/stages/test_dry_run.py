"""What `study run --dry-run` says of a study that does not exist; tests/test_stages.py has those that do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from tiny_spaces import TINY_SPACES

from study.command.cli import main
from study.space.parameters import SearchSpace
from study.stages import search

Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path], Path]) -> Path:
    return write_idx(tmp_path_factory.mktemp("dry") / "digits")


@pytest.fixture
def words(tmp_path: Path, digits: Path) -> Words:
    def make(*more: str) -> list[str]:
        flags = ["--results", str(tmp_path / "results"), "--name", "new", "--data-dir", str(digits), "--workers", "2"]
        for family, text in TINY_SPACES.items():
            (tmp_path / f"{family}.toml").write_text(text)
            flags += ["--space", str(tmp_path / f"{family}.toml")]
        return ["run", *flags, "--dry-run", *more]

    return make


@pytest.fixture
def planned(words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def look(*more: str) -> dict[str, Any]:
        assert main(words("--format", "json", *more)) == 0
        assert not (tmp_path / "results").exists()
        return dict(json.loads(capsys.readouterr().out))

    return look


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run measures them, without training anything."""

    def measure(_: object, spaces: Sequence[SearchSpace]) -> dict[str, float]:
        return {space.family: {"mlp": 20_000.0, "cnn": 5_000.0}[space.family] for space in spaces}

    monkeypatch.setattr(search, "measure_speeds", measure)
    monkeypatch.setattr("study.stages.one_search.Workers.executor", None)


def test_without_a_budget_the_plan_needs_no_clock_and_starts_no_worker(
    planned: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(search, "measure_speeds")
    plan = planned("--n-trials", "3", "--repeats", "2", "--no-evaluate")
    assert (plan["exists"], plan["is_complete"], plan["test_split"]) == (False, False, "stays closed")
    assert plan["goal"] == {"budget": None, "n_trials": 3, "families": ["cnn", "mlp"], "n_searches": 2}
    assert [family["examples_per_second"] for family in plan["families"]] == [None, None]
    assert all(family["examples_per_run"] == 3 * family["rungs"][-1] for family in plan["families"])
    assert {family["equal"] for family in plan["families"]} == {"examples"}  # nothing depends on a clock
    assert {family["images"] for family in plan["families"]} == {None}  # of a thousand images trials learn from all
    assert [(s["name"], s["search"], s["seconds"]) for s in plan["stages"]] == [
        ("search", 1, None),
        ("retrain", 1, None),
        ("search", 2, None),
        ("retrain", 2, None),
        ("last stage", None, None),
        ("report", None, None),
    ]


def test_a_budget_is_divided_among_stages_and_searches(planned: Callable[..., dict[str, Any]], speeds: None) -> None:
    plan = planned("--budget", "10m", "--repeats", "2", "--device", "cpu")
    assert {family["equal"] for family in plan["families"]} == {"seconds"}
    assert plan["test_split"] == "is opened"
    seconds = {(stage["name"], stage["search"]): stage["seconds"] for stage in plan["stages"]}
    assert seconds["search", 2] == 120.0  # 0.4 of a share of 300 s
    assert seconds["search", 1] == pytest.approx(120.0 + 5.0, abs=0.06)  # what the second, given nothing, leaves it
    assert seconds["examine", None] == 36.0
    assert 500 < sum(seconds.values()) <= 620  # the report's seconds are kept twice where two searches close
    first, second = plan["searches"]
    # A 24th is left for each of two warm starts, and no search gets more for what it finds than another.
    assert first["allowance"] == second["allowance"] == pytest.approx(125.0 * (1 - 2 / 24), abs=0.06)
    assert first["seed"] != second["seed"]
    assert {family["name"]: family["examples_per_second"] for family in plan["families"]} == {
        "mlp": 20_000,
        "cnn": 5_000,
    }
    assert plan["retrain"] == {"candidates": 2, "candidate_seeds": 1, "final_seeds": 3}
    assert "the test split will be opened without a verdict" not in str(plan["notes"])


def test_every_file_that_a_run_writes_is_named(planned: Callable[..., dict[str, Any]], speeds: None) -> None:
    written = {Path(path).name for stage in planned("--budget", "30s")["stages"] for path in stage["writes"]}
    assert written >= {"study.toml", "ledger.json", "study.db", "trials.jsonl", "finalists.json", "model", "seal.json"}
    assert written >= {"report.json", "report.html", "openings.jsonl", "samples.npz"}


def test_a_database_elsewhere_is_named_without_its_password(
    planned: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    plan = planned("--n-trials", "1", "--storage", f"sqlite:///{tmp_path}/other.db")
    assert plan["storage"] == f"sqlite:///{tmp_path}/other.db"
    assert not (tmp_path / "other.db").exists()
    assert "study.db" not in {Path(path).name for stage in plan["stages"] for path in stage["writes"]}


def test_people_read_it_as_tables(words: Words, capsys: pytest.CaptureFixture[str], speeds: None) -> None:
    assert main(words("--budget", "1m")) == 0
    said = capsys.readouterr().out
    assert said.startswith("study 'new' would begin; nothing was written\n")
    assert "test split: is opened" in said
    assert "the speeds of new families were measured now" in said
    assert "note: a budget of 60 s plans one run per family" in said


@pytest.mark.usefixtures("speeds")
def test_configurations_from_files_share_the_first_searchs_retraining(
    planned: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    flags = ["--budget", "10m", "--repeats", "2"]
    for number in (1, 2):
        config = {"family": "mlp", "depth": 1, "width": [8 * number], "activation": "relu", "optimizer": "adamw"}
        config |= {"learning_rate": 1e-2, "batch_size": 32}
        (tmp_path / f"{number}.toml").write_text(tomli_w.dumps(config))
        flags += ["--given", str(tmp_path / f"{number}.toml")]
    seconds = []
    for more in (flags[:4], flags[:6], flags):
        stages = planned(*more)["stages"]
        seconds.append(next(one["seconds"] for one in stages if (one["name"], one["search"]) == ("retrain", 1)))
    assert seconds == sorted(set(seconds))
