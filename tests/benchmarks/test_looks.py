"""Further looks at the test split: sealed first, once, and only by what was evaluated."""

from typing import Any

import _looks as looks
import pytest

from study.errors import ResultsError
from study.records.seal import read_looks, read_openings, write_openings


def _look(study: Any, **changes: Any) -> Any:
    arguments = {
        "run": "cnn-final-seed0",
        "purpose": "strangers",
        "command": "benchmark",
        "result": study.files.test / "strangers.json",
    }
    return looks.look_at_test(study.files, study.settings, **{**arguments, **changes})


def test_a_look_stands_in_the_seal_and_counts_as_no_opening(opened_study: Any) -> None:
    before = read_openings(opened_study.files.seal)
    assert len(_look(opened_study)) == 60
    (look,) = read_looks(opened_study.files.seal)
    assert (look.purpose, look.run) == ("strangers", "cnn-final-seed0")
    assert look.weights_sha256 == before[-1].hashes["cnn-final-seed0"]
    assert read_openings(opened_study.files.seal) == before


def test_the_seal_is_written_before_an_image_is_read(opened_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        assert read_looks(opened_study.files.seal)
        raise RuntimeError("reading now")

    monkeypatch.setattr(looks, "load_sealed_test", fail)
    with pytest.raises(RuntimeError, match="reading now"):
        _look(opened_study)


def test_once_its_result_is_there_the_split_is_not_read_again(opened_study: Any) -> None:
    result = opened_study.files.test / "strangers.json"
    result.write_text("{}")
    with pytest.raises(ResultsError, match="read once"):
        _look(opened_study, result=result)
    assert read_looks(opened_study.files.seal) == []


def test_a_run_that_was_not_evaluated_may_not_look(opened_study: Any) -> None:
    weights = opened_study.files.run("cnn-final-seed0").weights
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ResultsError, match="study evaluate"):
        _look(opened_study)


def test_a_later_opening_keeps_the_looks(opened_study: Any) -> None:
    _look(opened_study)
    openings = read_openings(opened_study.files.seal)
    write_openings(opened_study.files.seal, [*openings, openings[0]])
    assert len(read_looks(opened_study.files.seal)) == 1
