"""The ablation for real: a few hundred digits, a few steps a run, the program's own executor in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from runs import candidate, family_result, run_metrics
from tiny_mlp import CONFIG
from trials import trial, write_trials

from study.errors import Interrupted, ResultsError
from study.execution.executors import InProcessExecutor
from study.execution.jobs import Job, OnRung, Outcome
from study.execution.worker import Work
from study.records.files import read_json, write_json
from study.records.finalists import Finalists, write_finalists
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import TrialRecord
from study.retraining.ablation import SEEDS, Ablation, recipe_of, swaps_of
from study.retraining.runs import Engine
from study.space.grammar import parse_space
from study.statistics.over_seeds import compare_finalists
from study.training.config import TRAINING_KEYS

SPACE = """
family = "mlp"
depth = 1
width = [8]
activation = { choices = ["relu", "tanh", "gelu"] }
normalisation = "none"
dropout = 0.0
optimizer = { choices = ["adamw", "sgd"] }
momentum = { low = 0.8, high = 0.98, when = { optimizer = "sgd" } }
batch_size = 50
augmentation = "none"
[[parameter]]
name = "learning_rate"
when = { optimizer = "sgd" }
low = 1e-2
high = 1.0
log = true
[[parameter]]
name = "learning_rate"
when = { optimizer = "adamw" }
low = 1e-3
high = 1e-1
log = true
"""


def tried(number: int, value: float | None, **changed: Any) -> TrialRecord:
    return trial(number, value, state="FAIL" if value is None else "COMPLETE", config=CONFIG | changed)


TRIALS = [
    tried(0, 0.9),
    tried(1, 0.7, activation="gelu"),
    tried(2, 0.8, activation="tanh"),
    tried(3, 0.6, optimizer="sgd", learning_rate=0.3, momentum=0.9),
    tried(4, None, optimizer="sgd", learning_rate=0.7, momentum=0.85),
]


def test_the_best_alternative_of_every_choice_comes_first() -> None:
    found = swaps_of(parse_space(SPACE, "mlp.toml"), CONFIG, TRIALS)
    assert [(swap.parameter, swap.value) for swap in found] == [
        ("activation", "tanh"),
        ("optimizer", "sgd"),
        ("activation", "gelu"),
    ]


def test_only_the_swapped_choice_and_what_hangs_on_it_change() -> None:
    tanh, sgd, _ = swaps_of(parse_space(SPACE, "mlp.toml"), CONFIG, TRIALS)
    assert tanh.config == {**CONFIG, "activation": "tanh"}
    assert tanh.also == {}
    # The other branch takes its values from the best trial that had it, not from the finalist's range.
    assert sgd.config == {**CONFIG, "optimizer": "sgd", "learning_rate": 0.3, "momentum": 0.9}
    assert sgd.also == {"learning_rate": 0.3, "momentum": 0.9}


def test_a_branch_that_no_trial_had_begins_in_the_middle_of_its_range() -> None:
    sgd = swaps_of(parse_space(SPACE, "mlp.toml"), CONFIG, TRIALS[:3])[1]
    assert sgd.config["learning_rate"] == pytest.approx(0.1)
    assert sgd.config["momentum"] == pytest.approx(0.89)


def test_another_finalists_recipe_takes_all_that_says_how_it_is_trained_and_nothing_else() -> None:
    space = parse_space(SPACE, "mlp.toml")
    other = {"family": "cnn", "stages": 2, "activation": "silu", "optimizer": "sgd", "learning_rate": 9.0}
    swap = recipe_of(space, CONFIG, "of cnn #3", other | {"batch_size": 64}, 0)
    assert swap is not None
    kept = {key: value for key, value in CONFIG.items() if key not in TRAINING_KEYS}
    assert swap.config == kept | {"optimizer": "sgd", "learning_rate": 9.0, "batch_size": 64}
    assert (swap.parameter, swap.value, swap.also["batch_size"]) == ("recipe", "of cnn #3", 64)
    assert recipe_of(space, CONFIG, "of cnn #3", other | {"optimizer": "muon"}, 0) is None  # no choice of this space
    assert recipe_of(space, CONFIG, "of mlp #0", CONFIG, 0) is None  # its own


def test_back_from_the_other_branch_its_keys_fall_away() -> None:
    config = dict(TRIALS[3].config)
    adamw = next(s for s in swaps_of(parse_space(SPACE, "mlp.toml"), config, TRIALS) if s.value == "adamw")
    assert adamw.config == CONFIG
    assert adamw.also == {"learning_rate": 0.02, "momentum": None}


# A choice more, which a configuration may leave out.
OPTIONAL = SPACE.replace('augmentation = "none"', 'augmentation = { choices = ["shift", "none"] }')


def test_a_choice_that_a_configuration_does_not_name_is_not_swapped() -> None:
    config = {key: value for key, value in CONFIG.items() if key != "augmentation"}
    found = swaps_of(parse_space(OPTIONAL, "mlp.toml"), config, TRIALS)
    assert {swap.parameter for swap in found} == {"activation", "optimizer"}


class Bench:
    def __init__(self, files: StudyFiles, settings: StudySettings, work: Work) -> None:
        self.files, self.settings, self.work = files, settings, work
        self.trained: list[str] = []

    def ablate(self, seconds: float | None = None, stop_after: int | None = None) -> dict[str, Any]:
        self.trained = []

        def work(job: Job, on_rung: OnRung) -> Outcome:
            self.trained.append(job.id)
            return self.work(job, on_rung)

        def tick() -> None:
            if stop_after is not None and len(self.trained) >= stop_after:
                raise Interrupted(15)

        with InProcessExecutor(1, work) as executor:
            return Ablation(self.files, self.settings, Engine("cpu", "fp32", 1)).run(executor, seconds, tick)


def hand_over(files: StudyFiles, trial: int) -> None:
    row = family_result(candidate(trial, runs=("mlp-t0-seed0",)), final_runs=("mlp-final-seed0",))
    write_finalists(files.finalists, Finalists({"mlp": row}))


@pytest.fixture
def bench(files: StudyFiles, make_settings: Callable[..., StudySettings], training: Work) -> Bench:
    write_trials(files.trials_jsonl, TRIALS)
    files.run("mlp-t0-seed0").root.mkdir(parents=True)
    write_json(files.run("mlp-t0-seed0").metrics, asdict(run_metrics(seconds=0.5)))
    hand_over(files, 0)
    return Bench(files, make_settings({"mlp": SPACE}), training)


def test_every_swap_is_trained_under_the_finalists_seeds_and_compared_on_validation(bench: Bench) -> None:
    found = bench.ablate()
    assert len(bench.trained) == SEEDS * (1 + 3)
    assert read_json(bench.files.ablation) == found
    mlp = found["families"]["mlp"]
    assert (mlp["trial"], mlp["examples"], len(mlp["accuracies"]), mlp["left_out"]) == (0, 600, SEEDS, [])
    seeds = {}
    for variant in ("finalist", "activation-1", "optimizer-1"):
        folders = [bench.files.root / "ablation" / f"mlp-{variant}-seed{index}" for index in range(SEEDS)]
        assert not any((folder / "model.safetensors").exists() for folder in folders)
        seeds[variant] = [(folder / "config.toml").read_text().split("seed = ")[1].split()[0] for folder in folders]
        correct = []
        for folder in folders:
            with np.load(folder / "validation.npz") as arrays:
                correct.append(arrays["logits"].argmax(axis=1) == arrays["labels"])
        seeds[f"{variant} correct"] = correct
    assert seeds["finalist"] == seeds["activation-1"] == seeds["optimizer-1"]
    tanh = next(row for row in mlp["rows"] if row["value"] == "tanh")
    compared = compare_finalists(np.stack(seeds["activation-1 correct"]), np.stack(seeds["finalist correct"]))
    assert tanh["difference"] == pytest.approx(compared.difference)
    assert tanh["interval95"] == pytest.approx(list(compared.interval95))
    assert tanh["from"] == "relu"
    assert "p_value" not in tanh


def test_an_interrupted_ablation_keeps_its_runs_and_the_same_call_adds_the_rest(bench: Bench) -> None:
    with pytest.raises(Interrupted):
        bench.ablate(stop_after=SEEDS + 4)
    finished = {path.parent.name for path in (bench.files.root / "ablation").glob("*/DONE")}
    half = read_json(bench.files.ablation)["families"]["mlp"]
    assert [row["value"] for row in half["rows"]] == ["tanh"]
    assert [row["value"] for row in half["left_out"]] == ["sgd", "gelu"]
    whole = bench.ablate()["families"]["mlp"]
    assert set(bench.trained) & finished == set()
    assert len(finished | set(bench.trained)) == SEEDS * 4
    assert whole["left_out"] == []
    assert whole["rows"][0] == half["rows"][0]


def test_what_the_seconds_do_not_allow_is_left_out_by_name(bench: Bench) -> None:
    found = bench.ablate(seconds=0.1)["families"]["mlp"]
    assert bench.trained == []
    assert found["accuracies"] is None
    assert [(row["parameter"], row["value"]) for row in found["left_out"]] == [
        ("activation", "tanh"),
        ("optimizer", "sgd"),
        ("activation", "gelu"),
    ]
    assert found["seconds_left_out"] == pytest.approx(SEEDS * 3 * 0.5)


def test_a_swap_that_fails_is_reported_with_its_reason(bench: Bench) -> None:
    work = bench.work

    def failing(job: Job, on_rung: OnRung) -> Outcome:
        if job.config["activation"] == "tanh":
            raise ValueError("no tanh today")
        return work(job, on_rung)

    bench.work = failing
    rows = bench.ablate()["families"]["mlp"]["rows"]
    assert [(row["value"], row["failed"]) for row in rows] == [
        ("tanh", "ValueError: no tanh today"),
        ("sgd", None),
        ("gelu", None),
    ]


def test_another_finalist_begins_anew(bench: Bench) -> None:
    bench.ablate(seconds=3600)
    hand_over(bench.files, 2)
    found = bench.ablate()["families"]["mlp"]
    assert found["trial"] == 2
    assert len(bench.trained) == SEEDS * 4
    assert {row["from"] for row in found["rows"] if row["parameter"] == "activation"} == {"tanh"}


def test_a_finalist_that_leaves_an_optional_choice_out_has_its_default(
    files: StudyFiles, bench: Bench, make_settings: Callable[..., StudySettings]
) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "augmentation"}
    files.trials_jsonl.unlink()
    write_trials(files.trials_jsonl, [trial(0, 0.9, role="given_file", parameters={}, config=config)])
    bench.settings = make_settings({"mlp": OPTIONAL})
    found = bench.ablate(seconds=0.1)["families"]["mlp"]
    assert ("augmentation", "shift") in [(row["parameter"], row["value"]) for row in found["left_out"]]


def test_without_finalists_there_is_nothing_to_swap(bench: Bench) -> None:
    bench.files.finalists.unlink()
    with pytest.raises(ResultsError, match=r"finalists\.json is missing"):
        bench.ablate()
