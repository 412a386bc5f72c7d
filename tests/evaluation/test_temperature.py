"""The temperature that a finalist carries over from validation."""

from typing import Any

import numpy as np
import pytest
from runs import candidate, family_result

from study.errors import ResultsError
from study.evaluation.temperature import carried_temperature
from study.records.files import write_json, write_npz
from study.records.finalists import Finalists, write_finalists
from study.statistics.logits import fit_temperature


def _candidate(study: Any, run: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(200, 10)).astype(np.float32), rng.integers(0, 10, 200)
    logits[np.arange(200), labels] += 2
    write_npz(study.files.run(run).validation, {"logits": logits, "labels": labels})
    return logits, labels


def test_it_is_fitted_on_the_pooled_runs_of_the_finalist_alone(small_study: Any) -> None:
    runs = {"cnn-t3-seed0": 0, "cnn-t3-seed1": 1, "cnn-t9-seed0": 2}
    parts = {run: _candidate(small_study, run, seed) for run, seed in runs.items()}
    own, other = candidate(3, runs=("cnn-t3-seed0", "cnn-t3-seed1")), candidate(9, family="cnn")
    row = family_result(own, other, final_runs=("cnn-final-seed0",))
    write_finalists(small_study.files.finalists, Finalists({"cnn": row}))
    pooled = [np.concatenate(part) for part in zip(parts["cnn-t3-seed0"], parts["cnn-t3-seed1"], strict=True)]
    assert carried_temperature(small_study.files, "cnn") == pytest.approx(fit_temperature(*pooled))


def test_a_family_without_a_finalist_is_refused(small_study: Any) -> None:
    write_json(small_study.files.finalists, {"families": {}})
    with pytest.raises(ResultsError, match="no finalist of family 'mlp'"):
        carried_temperature(small_study.files, "mlp")


def test_a_candidate_run_without_its_logits_is_named(small_study: Any) -> None:
    write_finalists(
        small_study.files.finalists,
        Finalists({"cnn": family_result(candidate(3, family="cnn"), final_runs=("cnn-final-seed0",))}),
    )
    path = small_study.files.run("cnn-t3-seed0").validation
    with pytest.raises(ResultsError, match=r"cnn-t3-seed0/validation\.npz is missing; rerun `study retrain`"):
        carried_temperature(small_study.files, "cnn")
    _candidate(small_study, "cnn-t3-seed0", 0)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ResultsError, match=r"validation\.npz is damaged"):
        carried_temperature(small_study.files, "cnn")
