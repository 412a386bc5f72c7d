"""The section between searches of synthetic studies, against numbers computed another way."""

from __future__ import annotations

import html
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from made import build
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.report.section import Report
from study.report.sections import searches
from study.report.template import body
from study.report.wording import typeset

Reports = Callable[[str], dict[str, Any]]
Pages = Callable[[str], str]
Files = Callable[[str], StudyFiles]


def accuracies(files: StudyFiles, n_searches: int, family: str) -> list[float]:
    """Mean test accuracy of the finalist's seeds in each search, from the predictions."""
    found = []
    for folder in (files, *files.repeats(n_searches)):
        with np.load(folder.predictions) as arrays:
            labels = arrays["labels"]
            seeds = [arrays[name] for name in arrays.files if name.startswith(f"{family}-final")]
        found.append(float(np.mean([(logits.argmax(axis=1) == labels).mean() for logits in seeds])))
    return found


def test_one_search_has_no_section(case_report: Reports) -> None:
    report = case_report("clear win")
    assert report["searches"] is None
    assert "searches" not in report["findings"]


@pytest.mark.parametrize(("name", "n"), [("two searches", 2), ("five searches", 5)])
def test_the_spread_between_searches(name: str, n: int, case_report: Reports, case_files: Files) -> None:
    found = case_report(name)["searches"]
    assert (found["asked"], found["ready"], found["tested"]) == (n, n, n)
    for family in ("cnn", "mlp"):
        values = accuracies(case_files(name), n, family)
        test = found["families"][family]["test"]
        assert len(set(values)) == n
        assert (test["mean"], test["sd"]) == pytest.approx((statistics.fmean(values), statistics.stdev(values)))
        low, high = scipy.stats.t.interval(0.95, n - 1, statistics.fmean(values), scipy.stats.sem(values))
        assert test["interval95"] == pytest.approx((max(0.0, low), min(1.0, high)))


def test_the_families_are_compared_over_searches_and_search_by_search(case_report: Reports, case_files: Files) -> None:
    a, b = (accuracies(case_files("five searches"), 5, family) for family in ("cnn", "mlp"))
    (pair,) = case_report("five searches")["searches"]["pairs"]
    compared = pair["comparison"]
    assert (compared["unit"], compared["seeds_a"], compared["seeds_b"]) == ("search", 5, 5)
    assert compared["difference"] == pytest.approx(statistics.fmean(a) - statistics.fmean(b))
    images = compared["se"] ** 2 - compared["g_a"] - compared["g_b"]
    welch = (statistics.variance(a) + statistics.variance(b)) / 5
    assert 0 < images < welch + images
    assert pair["holm_p"] == pytest.approx(2 * scipy.stats.t.sf(abs(compared["t"]), compared["df"]))
    differences = [x - y for x, y in zip(a, b, strict=True)]
    assert list(pair["by_search"].values()) == pytest.approx(differences)
    paired = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    assert pair["paired"]["interval95"] == pytest.approx(tuple(paired))


def test_two_searches_get_no_verdict_and_no_p_value_on_the_page(case_report: Reports, case_page: Pages) -> None:
    report = case_report("two searches")
    (pair,) = report["searches"]["pairs"]
    assert pair["verdict"]["label"] == "no verdict"
    page = case_page("two searches")
    assert "2 independent searches per family, fewer than the 3" in page.partition('id="searches"')[2]


def test_the_shipped_finalist_is_the_winner_s_best_on_validation(case_report: Reports) -> None:
    report = case_report("five searches")
    found = report["searches"]
    mine = [row for row in found["rows"] if row["family"] == found["winner"] == "cnn"]
    assert found["shipped"] == max(mine, key=lambda row: row["validation_mean"])
    assert found["shipped"]["search"] == 2
    assert report["reproduce"]["shipped_run"] == "five-searches-repeat-2/cnn-final-seed0"


def test_what_it_cost_counts_every_search(case_report: Reports) -> None:
    found = case_report("five searches")["searches"]
    assert (found["trials"], found["search_seconds"]) == (5 * 2 * 12, 5 * 2 * 12 * 4.0)


def test_the_page_shows_each_search_and_names_what_its_other_sections_show(
    case_report: Reports, case_page: Pages
) -> None:
    report = case_report("five searches")
    section = case_page("five searches").partition('id="searches"')[2]
    assert typeset(html.escape(report["findings"]["searches"])) in section
    assert section.count(">shipped</td>") == 1
    assert "sections 2 to 18 show the first" in report["findings"]["header"]


def test_shared_warm_starts_among_the_finalists_are_counted_and_said(case_made: Callable[[str], Report]) -> None:
    found = case_made("five searches")[searches]
    assert found is not None
    counted = {f: sum(row.warm_start for row in found.rows if row.family == f) for f in ("cnn", "mlp")}
    assert found.warm_finalists == counted

    def section(n: dict[str, int]) -> str:
        return body("sections/searches.html.j2", found=replace(found, warm_finalists=n), charts=[])

    said = "Finalists that are warm starts, with which every search began"
    assert said not in section({"cnn": 0, "mlp": 0})
    assert f"{said}: cnn 3 of 5, mlp 1 of 5." in section({"cnn": 3, "mlp": 1})


def test_a_finalist_that_was_given_beside_its_search_is_recognised(tmp_path: Path) -> None:
    files = write_study(tmp_path / "beside", Wanted(apart=True, warm_starts=6, trials=6, repeats=2))
    rows = [row for row in build(files)["searches"]["rows"] if row["title"]]
    assert len(rows) == 4
    assert all(row["warm_start"] and "depth" in row["parameters"] for row in rows)


def test_a_family_that_failed_in_every_search_hides_nothing_of_the_others(tmp_path: Path) -> None:
    accuracy = {"cnn": 0.994, "mlp": 0.983, "mixer": 0.98}
    report = build(write_study(tmp_path / "some", Wanted(accuracy=accuracy, failed=("mixer",), trials=6, repeats=2)))
    assert report["searches"]["tested"] == 2
    assert "Over 2 searches the finalists average cnn" in report["findings"]["answer"]
