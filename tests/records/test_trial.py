from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from trials import rungs, trial, write_trials

from study.errors import ResultsError
from study.records.files import append_jsonl, read_jsonl
from study.records.trial import Form, Role, Rung, TrialRecord, Trials, line_of, parse_trial, read_trials

# As the version before form 2 wrote it, without what later versions of form 1 added: ending and further_seed_of.
OLDEST: dict[str, Any] = {
    "number": 4,
    "family": "cnn",
    "parameters": {"depth": 2, "learning_rate[adamw]": 0.008},
    "config": {"family": "cnn", "depth": 2, "learning_rate": 0.008},
    "distributions": {"depth": "{}"},
    "rungs": [
        {"examples": 100, "accuracy": 0.5, "nll": 1.5, "temperature": 2.0, "seconds": 0.25},
        {"examples": 300, "accuracy": 0.75, "nll": 0.75, "temperature": 1.5, "seconds": 0.5},
    ],
    "state": "PRUNED",
    "reason": "pruned at 300 examples",
    "role": "warm_start",
    "value": 0.75,
    "nll": 0.75,
    "draw": 3,
    "seed": 9,
    "attempt": 2,
    "counted": True,
    "start": "2026-11-26T11:27:30.985270+00:00",
    "end": "2026-11-26T11:27:31+00:00",
    "seconds": 1.25,
    "training_seconds": 0.5,
    "worker": 1,
    "n_parameters": 10,
    "flops": None,
    "examples": 300,
}
TRIAL = trial(3, reason="so", draw=2, seed=5, worker=1, n_parameters=7, further_seed_of=1, config={"width": [1, 2]})


def _line(state: str, reason: str | None, **more: object) -> dict[str, Any]:
    return OLDEST | {"state": state, "reason": reason} | more


# --- both forms ------------------------------------------------------------------------------------------------------


def test_a_line_of_form_1_is_read(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "trials.jsonl", OLDEST)
    (record,) = read_trials(tmp_path / "trials.jsonl")
    assert record.rungs[1] == Rung(300, 0.75, nll_scaled=0.75, temperature=1.5, training_seconds=0.5)
    assert (record.value, record.nll_scaled, record.examples) == (0.75, 0.75, 300)
    assert (record.held_seconds, record.training_seconds) == (1.25, 0.5)
    assert (record.ending, record.further_seed_of, record.role) == ("pruned", None, "warm_start")
    assert record.end is not None
    assert record.end.isoformat() == OLDEST["end"]


ADDED = {"ending": "pruned", "further_seed_of": None, "node": None, "rung_scale": 1.0}


def test_form_1_is_written_as_it_was_read() -> None:
    assert line_of(parse_trial(OLDEST), 1) == OLDEST | ADDED


def test_form_2_says_everything_once_and_by_the_names_of_the_record() -> None:
    line = line_of(parse_trial(OLDEST), 2)
    assert line.keys() == {field.name for field in dataclasses.fields(TrialRecord)}
    assert [rung.keys() for rung in line["rungs"]] == [{field.name for field in dataclasses.fields(Rung)}] * 2
    assert (line["held_seconds"], line["training_seconds"]) == (1.25, 0.5)


@pytest.mark.parametrize("form", [1, 2])
def test_what_is_appended_is_read_back(form: Form, tmp_path: Path) -> None:
    failed = trial(4, None, state="FAIL", reason="ValueError: broken", start=None, end=None, counted=False)
    written = write_trials(tmp_path / "t.jsonl", [TRIAL, failed], form)
    assert list(read_trials(tmp_path / "t.jsonl")) == written
    assert (failed.value, failed.nll_scaled, failed.examples) == (None, None, 0)


def test_a_key_of_a_later_version_is_no_new_form() -> None:
    assert parse_trial(json.loads(json.dumps(line_of(TRIAL, 2) | {"mood": "fine"}))) == TRIAL


def test_a_line_that_is_no_trial_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    for line in (OLDEST, {key: value for key, value in OLDEST.items() if key != "parameters"}):
        append_jsonl(path, line)
    with pytest.raises(ResultsError, match=r"trials\.jsonl line 2 is no trial .*'parameters'.*--from"):
        read_trials(path)
    assert len(read_jsonl(path)) == 2


def test_without_a_file_there_are_no_trials(tmp_path: Path) -> None:
    assert read_trials(tmp_path / "trials.jsonl") == Trials()


# --- endings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "ending"),
    [
        (_line("COMPLETE", None), "complete"),
        (_line("PRUNED", "pruned at 300 examples"), "pruned"),
        (_line("PRUNED", "stopped at a rung: most of the way to the next one lay beyond the budget"), "budget"),
        (_line("FAIL", "DivergedError: the loss is nan"), "failed"),
        (_line("FAIL", "its worker died (exit status -9)"), "failed"),
        (_line("FAIL", "its worker died (exit status -9)", counted=False), "interrupted"),
        (_line("FAIL", "interrupted: the command ended while it ran", counted=False), "interrupted"),
        (_line("FAIL", "withdrawn: the search ended before it began", counted=False), "withdrawn"),
    ],
)
def test_lines_of_older_versions_tell_their_ending_by_how_their_reason_begins(
    line: Mapping[str, Any], ending: str
) -> None:
    assert parse_trial(line).ending == ending


def test_a_written_ending_counts_whatever_the_reason_says() -> None:
    assert parse_trial(_line("PRUNED", "worse than its rivals", ending="pruned")).ending == "pruned"
    assert parse_trial(_line("PRUNED", "pruned by the clock", ending="budget")).ending == "budget"


# --- a study's trials ------------------------------------------------------------------------------------------------


def test_the_best_trial_is_the_most_accurate_one_ties_by_nll() -> None:
    trials = Trials([trial(0, 0.8), trial(1, 0.9, nll=0.4), trial(2, 0.9, nll=0.3), trial(3, 0.9, nll=0.3)])
    best = trials.best
    assert best is trials[2]


def test_the_best_trial_is_a_completed_one() -> None:
    assert Trials([trial(0, 0.99, state="PRUNED"), trial(1, None, state="FAIL")]).best is None
    assert Trials([trial(0, 0.99, state="PRUNED"), trial(1, 0.5)]).best == trial(1, 0.5)
    assert Trials([trial(0, float("nan")), trial(1, None), trial(2, float("inf"))]).best is None
    assert Trials().best is None


def test_what_was_found_and_what_was_given_of_a_family() -> None:
    warm, drawn, other = trial(0, 0.95, role="warm_start"), trial(1, 0.9), trial(2, 0.99, family="cnn")
    trials = Trials([warm, drawn, other])
    assert trials.of("mlp").best is warm
    assert trials.of("mlp").found.best is drawn
    assert trials.of("cnn").given.best is None
    assert (list(trials.found), list(trials.given)) == ([drawn, other], [warm])
    assert list(trials.of("mixer")) == []


@pytest.mark.parametrize(
    ("role", "origin", "words"),
    [
        ("sampled", "found", "found"),
        ("warm_start", "given", "given (warm start)"),
        ("given_file", "given", "given (file)"),
        ("imported", "given", "given (imported)"),
    ],
)
def test_whatever_was_not_drawn_was_given(role: Role, origin: str, words: str) -> None:
    assert (trial(0, role=role).origin, trial(0, role=role).origin_in_words) == (origin, words)


def test_trials_are_ranked_completed_ones_first_then_by_how_far_they_came() -> None:
    short, far = trial(0, 0.99, examples=100, state="PRUNED"), trial(1, 0.8, state="PRUNED")
    failed, worse, better = trial(2, None, state="FAIL"), trial(3, 0.5), trial(4, 0.6)
    assert list(Trials([short, far, failed, worse, better]).ranked) == [better, worse, far, short]


def test_states_seconds_and_what_counts() -> None:
    lost = trial(2, None, state="FAIL", counted=False, held_seconds=0.75)
    trials = Trials([trial(0, held_seconds=0.5), trial(1, state="PRUNED", rungs=rungs((100, 0.5))), lost])
    assert trials.states == {"COMPLETE": 1, "PRUNED": 1, "FAIL": 1}
    assert trials.held_seconds == 1.45
    assert list(trials.counted) == list(trials[:2])
