from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from study.errors import ResumeError
from study.execution.executors import InProcessExecutor
from study.execution.jobs import Job, OnRung, Outcome, RungMetrics, Validation
from study.records.naming import find_study
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, save_settings
from study.records.trial import Trials, read_trials
from study.search.agreement import record_of
from study.search.driver import Search
from study.search.imports import check_source, fitting, import_trials, left_out, load_source, replay
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits
from study.space.grammar import parse_space
from study.space.sampling import load_space

Settings = Callable[..., StudySettings]


def work(job: Job, on_rung: OnRung) -> Outcome:
    for rung, examples in enumerate((100, 300, 900)):
        accuracy = job.config["learning_rate"] * (rung + 1)
        if not on_rung(examples, RungMetrics(1.0, 0.1, 0.1, Validation(accuracy, 1.5, 1.0, 1.0))):
            break
    return Outcome(3, 4, 0.1)


@pytest.fixture
def old(tmp_path: Path, make_settings: Settings) -> StudyFiles:
    """A study with eight trials a family, named `old`."""
    files = StudyFiles(tmp_path / "results" / "old")
    settings = make_settings(name="old")
    save_settings(settings, files.settings)
    search = Search(files, settings, open_storage(storage_url(files, None)), Trials())
    with InProcessExecutor(1, work) as executor:
        search.run(executor, Limits(n_trials=8), lambda *_: None)
    return files


def import_into(files: StudyFiles, settings: StudySettings, families: set[str]) -> tuple[int, Any]:
    storage = open_storage(storage_url(files, None))
    source = find_study("old", files.root.parent)
    load_source(source, settings)
    fits = import_trials(files, settings, storage, source, families)
    return sum(len(fit.trials) for fit in fits.values()), storage


def test_trials_keep_values_and_cost_and_are_marked(
    old: StudyFiles, files: StudyFiles, make_settings: Settings
) -> None:
    settings = make_settings(imported_from="old")
    n, storage = import_into(files, settings, {"mlp", "cnn"})
    before = sorted(read_trials(old.trials_jsonl), key=lambda r: (r.family, r.number))
    after = sorted(read_trials(files.trials_jsonl), key=lambda r: (r.family, r.number))
    assert n == len(before) == len(after) == 16
    same = ("state", "parameters", "config", "rungs", "held_seconds", "start", "end", "distributions")
    for a, b in zip(before, after, strict=True):
        assert [getattr(a, key) for key in same] == [getattr(b, key) for key in same]
        assert (b.role, b.draw, b.counted) == ("imported", None, True)
    trials = optuna.load_study(study_name="tiny/mlp", storage=storage).get_trials()
    assert [record_of(trial, "mlp") for trial in trials] == [r for r in after if r.family == "mlp"]


def test_a_search_goes_on_from_imported_trials(old: StudyFiles, files: StudyFiles, make_settings: Settings) -> None:
    settings = make_settings(imported_from="old")
    _, storage = import_into(files, settings, {"mlp", "cnn"})
    search = Search(files, settings, storage, read_trials(files.trials_jsonl))
    spent = sum(r.held_seconds for r in read_trials(old.trials_jsonl) if r.family == "mlp")
    assert search.families["mlp"].spent == pytest.approx(spent)
    with InProcessExecutor(1, work) as executor:
        search.run(executor, Limits(n_trials=10), lambda *_: None)
    records = read_trials(files.trials_jsonl)
    assert len(records) == len({(r.family, r.number) for r in records}) == 20
    assert [r.draw for r in records if r.family == "mlp"][8:] == [0, 1]


def test_only_what_the_new_space_could_have_drawn_is_imported(
    old: StudyFiles, files: StudyFiles, make_settings: Settings
) -> None:
    spaces = {name: family.space for name, family in make_settings().families.items()}
    narrow = spaces["cnn"].split("[[warm_start]]")[0].replace("low = 1e-3, high = 5e-2", "low = 9e-3, high = 5e-2")
    n, _ = import_into(files, make_settings({"cnn": narrow}), {"cnn"})
    fitting = [r for r in read_trials(old.trials_jsonl) if r.parameters.get("learning_rate", 0) >= 9e-3]
    assert 0 < n == len(fitting) < 8


def test_a_study_on_other_ground_is_refused(old: StudyFiles, files: StudyFiles, make_settings: Settings) -> None:
    dataset = make_settings().dataset
    for change, what in (
        ({"split_sha256": "2" * 64}, "validation split"),
        ({"sha256": {"train-images": "x"}}, "dataset"),
        ({"inverted": True}, "dataset"),
    ):
        settings = make_settings(dataset=dataset.model_copy(update=change).model_dump())
        with pytest.raises(ResumeError, match=f"--from .*old: its {what} is not"):
            load_source(old, settings)
    tested = dataset.model_copy(update={"sha256": dataset.sha256 | {"test-images": "seen by one alone"}})
    load_source(old, make_settings(dataset=tested.model_dump()))


def test_a_renamed_source_is_read_where_it_is(old: StudyFiles, files: StudyFiles, make_settings: Settings) -> None:
    other = StudyFiles(old.root.parent / "another")
    old.root.rename(other.root)
    storage = open_storage(storage_url(files, None))
    fits = import_trials(files, make_settings(), storage, other, {"mlp"})
    assert len(fits["mlp"].trials) == 8


def test_what_is_left_out_is_said_and_a_study_that_gets_nothing_is_refused(
    old: StudyFiles, make_settings: Settings
) -> None:
    settings = make_settings(imported_from="old")
    spaces = {name: parse_space(family.space, f"{name}.toml") for name, family in settings.families.items()}
    check_source(old, settings, list(spaces.values()))
    slow = parse_space('family = "cnn"\nlearning_rate = { low = 1e-9, high = 1e-8 }', "slow.toml")
    fits = {"mlp": fitting(read_trials(old.trials_jsonl), spaces["mlp"]), "cnn": fitting(Trials(), spaces["cnn"])}
    assert left_out(fits) == "cnn: it has none"
    fits = {"cnn": fitting(read_trials(old.trials_jsonl), slow)}
    assert left_out(fits) == "cnn: 8 outside its space by learning_rate"
    with pytest.raises(ResumeError, match=r"none of its 16 trials can begin this study: cnn: 8 outside its space"):
        check_source(old, settings, [slow])


def test_replaying_needs_exactly_the_space_s_parameters(tiny_spaces: dict[str, Path]) -> None:
    space = load_space(tiny_spaces["mlp"])
    parameters = {
        "depth": 2,
        "width.0": 8,
        "width.1": 16,
        "activation": "relu",
        "optimizer": "sgd",
        "batch_size": 32,
        "learning_rate[sgd]": 0.1,
    }
    found = replay(space, parameters)
    assert found is not None
    assert found[0]["width"] == [8, 16]
    assert found[1].keys() == parameters.keys()
    for wrong in (
        parameters | {"width.2": 8},
        parameters | {"width.1": 64},
        parameters | {"activation": "gelu"},
        parameters | {"batch_size": 33},
        {key: value for key, value in parameters.items() if key != "width.1"},
        parameters | {"optimizer": "adamw"},
    ):
        assert replay(space, wrong) is None


def test_a_step_is_part_of_a_range() -> None:
    space = parse_space('family = "mlp"\nx = { low = 0, high = 10, step = 5 }', "s.toml")
    assert replay(space, {"x": 5}) is not None
    assert replay(space, {"x": 6}) is None


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("low = 0, high = 10", "5"),
        ("low = 0, high = 10", True),
        ("low = 0, high = 10", 5.0),
        ("low = 0.0, high = 10.0", "5"),
        ("low = 0.0, high = 10.0", True),
        ("choices = [1, 2]", True),
        ("choices = [1, 2]", 1.0),
        ('choices = ["1", "2"]', 1),
    ],
)
def test_a_value_of_another_type_could_not_have_been_drawn(rule: str, value: object) -> None:
    space = parse_space(f'family = "mlp"\nx = {{ {rule} }}', "s.toml")
    assert replay(space, {"x": value}) is None
