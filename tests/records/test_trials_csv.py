from __future__ import annotations

import csv

import pytest
from trials import trial

from study.records.paths import StudyFiles
from study.records.trial import Form
from study.records.trials_csv import write_trials_csv

TRIALS = [
    trial(0, 0.75, nll=0.25, training_seconds=0.5),
    trial(0, family="cnn", parameters={"y": 1, "reason": "=cmd()"}, role="warm_start"),
]


@pytest.mark.parametrize("form", [1, 2])
def test_families_stand_after_each_other_with_a_column_for_every_parameter(files: StudyFiles, form: Form) -> None:
    write_trials_csv(files, TRIALS, form)
    with files.trials_csv.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["family"] for row in rows] == ["cnn", "mlp"]
    assert (rows[0]["param_y"], rows[0]["param_x"]) == ("1", "")
    assert float(rows[1]["param_x"]) == TRIALS[0].parameters["x"]
    assert (rows[1]["ending"], rows[1]["value"], rows[1]["end"]) == ("complete", "0.75", "2026-01-01T00:00:01+00:00")
    names = ("nll", "seconds") if form == 1 else ("nll_scaled", "held_seconds")
    assert tuple(rows[1][name] for name in (*names, "training_seconds")) == ("0.25", "0.2", "0.5")


def test_the_table_tells_what_was_found_and_what_was_given(files: StudyFiles) -> None:
    write_trials_csv(files, TRIALS, 2)
    with files.trials_csv.open() as stream:
        rows = [(row["family"], row["role"], row["origin"]) for row in csv.DictReader(stream)]
    assert rows == [("cnn", "warm_start", "given"), ("mlp", "sampled", "found")]


def test_an_older_study_s_table_keeps_its_columns(files: StudyFiles) -> None:
    write_trials_csv(files, TRIALS[:1], 1)
    assert files.trials_csv.read_text().splitlines()[0] == (
        "number,family,state,ending,role,value,nll,examples,seconds,training_seconds,worker,seed,attempt,"
        "further_seed_of,counted,reason,n_parameters,flops,start,end,param_x"
    )
