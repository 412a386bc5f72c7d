from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from cases import CASES, HOSTILE, HOSTILE_STUDY
from made import charts_of, page_of
from markup import Page, packed
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.report.page import SECTIONS, write_report
from study.report.section import Report
from study.report.template import escaped

Reports = Callable[[str], dict[str, Any]]
Made = Callable[[str], Report]
Pages = Callable[[str], str]


@pytest.mark.parametrize("name", CASES)
def test_every_case_gives_a_well_formed_page_with_all_sections(
    name: str, case_report: Reports, case_page: Pages
) -> None:
    page = Page(case_page(name))
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    several = case_report(name)["searches"] is not None
    assert sections == [place.name for place in SECTIONS[1:] if several or place.name != "searches"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert case_report(name)["findings"]["answer"] in page.text


@pytest.mark.parametrize(("gpu", "cell"), [(None, "2 cores; 2 workers"), ("a GPU", "2 cores; a GPU; 2 workers")])
def test_a_gpu_is_named_with_the_machine(tmp_path: Path, gpu: str | None, cell: str) -> None:
    files = write_study(tmp_path / "named", Wanted(stage="searched", trials=6, gpu=gpu))
    assert f"a processor, {cell}" in page_of(files)


def test_the_answer_alone_stands_open(case_page: Pages) -> None:
    html = case_page("clear win")
    opened = re.findall(r'<section id="(\w+)"[^>]*>\s*<details open>', html)
    assert opened == ["answer"]


def test_the_page_asks_nobody_for_anything(case_page: Pages) -> None:
    page = Page(case_page("examined"))
    for tag, attributes in page.tags:
        for key in ("src", "href", "action", "data", "srcset", "poster"):
            target = attributes.get(key)
            assert target is None or target.startswith(("data:", "#")), (tag, target)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy


def test_every_chart_has_a_name_a_hint_without_javascript_and_a_table(case_made: Made, case_page: Pages) -> None:
    html, charts = case_page("examined"), charts_of(case_made("examined"))
    assert len(charts) >= 15
    for chart in charts:
        assert f'data-figure="{chart.id}"><noscript>' in html
    plots = re.findall(r'class="plot" role="img" aria-label="[^"]+"', html)
    assert len(plots) == len(charts)
    assert html.count("Data of this chart") == sum(bool(chart.rows) for chart in charts)


@pytest.mark.parametrize("name", CASES)
def test_plotly_accepts_every_figure(name: str, case_made: Made) -> None:
    for chart in charts_of(case_made(name)):
        go.Figure(chart.figure)
        assert all(len(row) == len(chart.columns) for row in chart.rows), chart.id


def test_plotly_is_inlined_once_and_the_page_stays_small(case_made: Made, case_page: Pages) -> None:
    html = case_page("examined")
    assert "plotly.js" in packed(html, "plotly-gz")[:400]
    assert html.count('id="plotly-gz"') == 1
    assert len(html.encode()) < 4_000_000
    assert set(json.loads(packed(html, "figures-gz"))) == {chart.id for chart in charts_of(case_made("examined"))}


def test_a_page_without_charts_carries_no_plotly(case_page: Pages) -> None:
    assert len(case_page("empty").encode()) < 100_000


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(write_study(tmp_path_factory.mktemp("hostile") / "study", HOSTILE_STUDY))


def test_hostile_names_are_text(hostile: str) -> None:
    page = Page(hostile)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert images
    assert all("onerror" not in attributes for attributes in images)
    assert not any(tag == "b" and "bold" in str(attributes) for tag, attributes in page.tags)
    assert HOSTILE in page.text
    assert "{{7*7}}" in page.text
    assert hostile.count("<script") == 5  # plotly, figures, trials, and the two that draw them


def test_hostile_names_are_text_in_the_figures_too(hostile: str) -> None:
    figures = packed(hostile, "figures-gz")
    assert "<img" not in figures
    assert "&lt;img" in figures
    assert "<b>" not in figures


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<a href='x'>y</a>", "&lt;a href='x'&gt;y&lt;/a&gt;"),
        ("one<br>two", "one<br>two"),
        ("%{x}<extra></extra>", "%{x}<extra></extra>"),
        ("R&D", "R&amp;D"),
    ],
)
def test_labels_keep_only_plotlys_own_tags(text: str, shown: str) -> None:
    assert escaped({"a": [text]}) == {"a": [shown]}


def test_both_files_are_written_and_tell_the_same(case_files: Callable[[str], StudyFiles]) -> None:
    files = case_files("clear win")
    page = write_report(files)
    report = json.loads(files.report_json.read_text())
    assert page == files.report_html
    assert all(finding in Page(page.read_text()).text for finding in report["findings"].values())


def test_the_report_loads_neither_torch_nor_a_database() -> None:
    code = "import sys, study.report.page, study.report.rendering; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert {"torch", "sqlalchemy"} & set(done.stdout.split()) == set()
