"""The sentences of synthetic studies, word for word. `golden.json` was read by a person; a change of wording is made
by editing it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from made import build

from study.records.paths import StudyFiles

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
Files = Callable[[str], StudyFiles]
Reports = Callable[[str], dict[str, Any]]


def texts(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "answer": report["findings"]["answer"],
        "best trial": report["answer"]["best_trial_sentence"],
        "caveats": report["answer"]["caveats"],
        "pairwise": report["findings"]["pairwise"],
        "budget": report["findings"]["protocol"],
        "limits": [item["flag"] for item in report["limits"]["items"]],
        "conclusion": [item["text"] for item in report["conclusion"]["items"]],
        "future work": [item["text"] for item in report["conclusion"]["future"]],
        "ablation": [entry["ablation"] and entry["ablation"]["sentence"] for entry in _mattered(report)],
        "audit": report["health"]["audit_sentence"],
    }


def _mattered(report: dict[str, Any]) -> list[dict[str, Any]]:
    return list(report["mattered"]["families"].values())


@pytest.mark.parametrize("name", CASES)
def test_the_sentences_are_the_golden_ones(name: str, case_report: Reports) -> None:
    assert texts(case_report(name)) == GOLDEN[name]


@pytest.mark.parametrize("name", CASES)
def test_the_report_is_strict_json_with_a_finding_for_every_section(name: str, case_report: Reports) -> None:
    report = case_report(name)
    json.dumps(report, allow_nan=False)
    assert len(report["findings"]) == (20 if report["searches"] else 19)
    ends = (".", "m", "E", " --no-evaluate", name.replace(" ", "-"))
    assert all(text and text.endswith(ends) for text in report["findings"].values())


@pytest.mark.parametrize("name", CASES)
def test_no_sentence_says_more_than_the_study_allows(name: str, case_report: Reports) -> None:
    report = case_report(name)
    everything = json.dumps([texts(report), report["findings"], report["limits"]]).lower()
    assert "significant" not in everything
    assert "the family is" not in everything
    assert re.search(r"\bnan\b(?! at step)", everything) is None
    assert "none" not in json.dumps(texts(report)["future work"]).lower()


@pytest.mark.parametrize("name", CASES)
def test_every_advice_cites_its_section_and_a_number(name: str, case_report: Reports) -> None:
    for item in case_report(name)["conclusion"]["future"]:
        place = f"section {item['section']}" if item["section"] else "top of the page"
        assert re.search(rf"\({place}, [^)]*\d|\d[^()]*\({place}\)", item["text"])


def test_an_ablation_of_an_earlier_finalist_is_not_shown(tmp_path: Path) -> None:
    from synthetic import Wanted, write_study

    files = write_study(tmp_path / "again", Wanted(ablated=True))
    found = json.loads(files.ablation.read_text())
    found["families"]["cnn"]["trial"] += 1
    files.ablation.write_text(json.dumps(found))
    cnn, mlp = _mattered(build(files))
    assert (cnn["ablation"], mlp["ablation"]["trial"]) == (None, found["families"]["mlp"]["trial"])


def test_an_opening_by_another_study_before_makes_the_report_exploratory(tmp_path: Path) -> None:
    from synthetic import Wanted, write_study

    files = write_study(tmp_path / "second", Wanted())
    write_study(tmp_path / "first", Wanted())
    seal = tmp_path / "first" / "test" / "seal.json"
    seal.write_text(seal.read_text().replace("2026-03-01", "2026-02-01"))
    report = build(files)
    assert report["header"]["openings_elsewhere"] == 1
    assert report["findings"]["answer"].startswith("Exploratory")


def test_what_this_user_opened_before_makes_the_report_exploratory(tmp_path: Path) -> None:
    from synthetic import Wanted, write_study

    files = write_study(tmp_path / "fifth", Wanted())
    found = json.loads(files.seal.read_text())
    for number, exploratory in ((1, False), (5, True)):
        found["openings"][0]["of_user"] = number
        files.seal.write_text(json.dumps(found))
        report = build(files)
        assert report["header"]["openings_of_user"] == number
        assert report["header"]["exploratory"] is exploratory
    assert "all studies of this user 5 times with this one" in report["answer"]["caveats"][0]


def test_by_groups_of_test_images_every_interval_of_the_finalists_is_clustered(tmp_path: Path) -> None:
    from synthetic import Wanted, write_study

    files = write_study(tmp_path / "writers", Wanted(repeats=2))
    alone = build(files)
    for folder in (files, *files.repeats(2)):
        with np.load(folder.predictions) as arrays:
            held = dict(arrays)
        seeds = [held[f"{family}-final-seed0"] for family in ("cnn", "mlp")]
        right = np.all([seed.argmax(axis=1) == held["labels"] for seed in seeds], axis=0)
        groups = np.where(right, np.arange(len(right)) % 40, 40 + np.arange(len(right)) % 3)
        np.savez(folder.predictions, groups=groups, **held)
    grouped = build(files)
    told = [
        next(i["text"] for i in one["limits"]["items"] if i["flag"] == "dependent images") for one in (alone, grouped)
    ]
    assert "1.25 to 1.28 times" in told[0]
    assert "they come in 43 groups" in told[1]
    assert "against finalist mlp" in told[1]

    def width(report: dict[str, Any], *path: str | int) -> float:
        value: Any = report
        for key in path:
            value = value[key]
        return float(value["interval95"][1] - value["interval95"][0])

    row = ("leaderboard", "rows", 0, "test")
    for path in (
        (*row, "accuracy"),
        (*row, "macro_f1"),
        ("answer", "pair", "comparison"),
        ("answer", "pair", "single"),
    ):
        assert width(grouped, *path) > 1.1 * width(alone, *path), path
    assert grouped["searches"]["pairs"][0]["comparison"]["groups"] == 43
