"""The sentences of comparisons, word for word (`compare_golden.json` was read by a person), and their page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from cases import COMPARISONS, HOSTILE, HOSTILE_STUDY
from markup import Page, packed
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.report.charts import Chart
from study.report.comparison.compared import Compared, short_labels
from study.report.comparison.entries import read_entries
from study.report.comparison.page import SECTIONS, make, numbers_of, write_comparison
from study.report.comparison.rendering import render

GOLDEN = json.loads((Path(__file__).parent / "compare_golden.json").read_text())
Comparisons = Callable[[str], dict[str, Any]]
Made = Callable[[str], Compared]


def charts(compared: Compared) -> dict[str, list[Chart]]:
    return {place.name: compared.charts(place) for place in SECTIONS}


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_sentences_are_the_golden_ones(name: str, comparison: Comparisons) -> None:
    found = comparison(name)
    untested = [f"{row['a']} and {row['b']}: {row['reason']}" for row in found["pairwise"]["untested"]]
    limits = [f"{item['flag']}: {item['text']}" for item in found["limits"]["items"]]
    assert {**found["findings"], "limits": limits, "untested": untested} == GOLDEN[name]


@pytest.mark.parametrize("name", COMPARISONS)
def test_no_sentence_says_more_than_the_studies_allow(name: str, comparison: Comparisons) -> None:
    found = comparison(name)
    text = json.dumps(found, allow_nan=False).lower()
    assert "significant" not in text
    if found["pairwise"]["pairs"]:
        assert "exploratory" in found["findings"]["pairwise"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_gives_a_well_formed_page_in_order(name: str, compared: Made, comparison: Comparisons) -> None:
    page = Page(render(compared(name), "compare.json"))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == [place.name for place in SECTIONS]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for finding in comparison(name)["findings"].values():
        assert finding in page.text
    assert all(item["text"] in page.text for item in comparison(name)["limits"]["items"])


@pytest.mark.parametrize("name", COMPARISONS)
def test_plotly_accepts_every_chart_and_each_has_its_table(name: str, compared: Made) -> None:
    drawn = [chart for group in charts(compared(name)).values() for chart in group]
    html = render(compared(name), "compare.json")
    for chart in drawn:
        go.Figure(chart.figure)
        assert chart.rows
        assert all(len(row) == len(chart.columns) for row in chart.rows), chart.id
        assert f'data-figure="{chart.id}"><noscript>' in html
    assert len({chart.id for chart in drawn}) == len(drawn)


def test_each_set_of_images_has_a_chart_of_costs(compared: Made) -> None:
    assert [chart.id for chart in charts(compared("other images"))["cost"]] == ["cost-0", "cost-1"]


def test_studies_differ_by_colour_and_symbol_and_winners_are_filled(compared: Made) -> None:
    figure = charts(compared("three"))["cost"][0].figure
    styles = {
        trace["name"]: (trace["marker"]["color"], trace["marker"]["symbol"])
        for trace in figure["data"]
        if "marker" in trace
    }
    winners = [style for name, style in styles.items() if name.endswith("winner")]
    assert len({colour for colour, _ in winners}) == len({symbol for _, symbol in winners}) == 3
    assert all(symbol.endswith("-open") for name, (_, symbol) in styles.items() if name.endswith("other finalists"))


def test_shortened_names_stay_apart() -> None:
    names = list(short_labels(["x" * 64 + "a", "x" * 64 + "b", "short"]).values())
    assert len(set(names)) == 3
    assert names[2] == "short"
    assert all(len(name) <= 22 for name in names)


def test_the_page_asks_for_nothing_and_is_small(compared: Made) -> None:
    html = render(compared("three"), "compare.json")
    assert re.search(r"default-src 'none'", html)
    assert len(html.encode()) < 3_000_000
    assert len(render(compared("all sealed"), "compare.json").encode()) < 100_000


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    root = tmp_path_factory.mktemp("hostile")
    other = Wanted(trials=12, draw=1, dataset=HOSTILE_STUDY.dataset, classes=HOSTILE_STUDY.classes, cpu=HOSTILE)
    studies = [
        write_study(root / HOSTILE.replace("/", "-"), HOSTILE_STUDY),
        write_study(root / "<b>bold</b>".replace("/", "-"), other),
    ]
    compared = make(read_entries(studies))
    return numbers_of(compared), render(compared, f"{HOSTILE}.json")


def test_hostile_names_are_text(hostile: tuple[dict[str, Any], str]) -> None:
    _, html = hostile
    page = Page(html)
    assert not any(tag in ("img", "b") for tag, _ in page.tags)
    assert HOSTILE in page.text
    assert "{{7*7}}" in page.text
    assert html.count("<script") == 3


def test_hostile_names_are_text_in_the_charts_too(hostile: tuple[dict[str, Any], str]) -> None:
    found, html = hostile
    assert found["pairwise"]["pairs"]
    figures = packed(html, "figures-gz")
    assert "&lt;img" in figures
    assert "<img" not in figures
    assert "<b>" not in figures


def test_both_files_are_written_and_tell_the_same(compared_files: Callable[[str], list[StudyFiles]]) -> None:
    studies = compared_files("clear win")
    page, compared = write_comparison(studies)
    assert page == studies[0].root.parent / "compare-short-long.html"
    beside = page.with_suffix(".json")
    assert json.loads(beside.read_text()) == numbers_of(compared)
    assert page.read_text() == render(compared, beside.name)
