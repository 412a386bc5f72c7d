from __future__ import annotations

import json
import tomllib
from collections.abc import Callable

from study.records.paths import StudyFiles
from study.report.section import Report
from study.report.sections import reproduce

Made = Callable[[str], Report]


def test_the_shipped_run_is_told_with_its_configuration_and_the_digest_that_was_sealed(
    case_made: Made, case_files: Callable[[str], StudyFiles]
) -> None:
    found = case_made("clear win")[reproduce]
    (opening,) = json.loads(case_files("clear win").seal.read_text())["openings"]
    assert (found.winner, found.shipped_run) == (opening["winner"], opening["shipped_run"])
    assert found.weights_sha256 == opening["hashes"][opening["shipped_run"]]
    shown = tomllib.loads(found.as_toml)
    assert (shown["family"], type(shown["learning_rate"])) == ("cnn", float)


def test_a_model_s_own_digest_is_preferred_to_the_seal_s(case_made: Made) -> None:
    found = case_made("examined")[reproduce]
    assert (found.model_ready, found.weights_sha256) == (True, "cd" * 32)


def test_before_retraining_there_is_nothing_shipped(case_made: Made) -> None:
    found = case_made("searching")[reproduce]
    assert (found.winner, found.shipped_run, found.config, found.as_toml) == (None, None, None, "")
