"""`report.json` and `report.html` of a study: numbers first, then one page drawn from them alone."""

from __future__ import annotations

from pathlib import Path

from study.errors import ResultsError
from study.records.backup import backup_of
from study.records.files import read_json, write_json, write_text
from study.records.ledger import read_ledger
from study.records.made_of import digest_of_study
from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.report import halfway, pictures, repeated
from study.report.reading import Record, known_form, read_study
from study.report.section import Place, Report
from study.report.sections import (
    answer,
    calibration,
    classes,
    conclusion,
    cost,
    curves,
    fair,
    families,
    hardest,
    header,
    health,
    leaderboard,
    limits,
    mattered,
    pairwise,
    protocol,
    reproduce,
    robustness,
    searches,
    seeds,
)
from study.statistics.result import strict

FORMAT = 1

# In the order of the page: sentences cite a section by its name, and its number is its place here.
SECTIONS = (
    Place("header", header, "Top of the page"),
    Place("answer", answer, "Answer in brief", is_open=True),
    Place("protocol", protocol, "Question, data, protocol"),
    Place("families", families, "Families and search spaces"),
    Place("leaderboard", leaderboard, "Leaderboard"),
    Place("fair", fair, "Fair comparison of the searches"),
    Place("pairwise", pairwise, "Pairwise tests"),
    Place("seeds", seeds, "Spread between seeds"),
    Place("cost", cost, "Accuracy against cost"),
    Place("classes", classes, "The finalists, one by one"),
    Place("hardest", hardest, "Hardest images"),
    Place("calibration", calibration, "Calibration and abstention"),
    Place("robustness", robustness, "Robustness"),
    Place("curves", curves, "Learning curves"),
    Place("mattered", mattered, "What mattered"),
    Place("health", health, "Health of the search"),
    Place("limits", limits, "Limits"),
    Place("conclusion", conclusion, "Conclusion and future work"),
    Place("reproduce", reproduce, "Reproduce"),
    Place("searches", searches, "Between searches"),
)


def write_report(files: StudyFiles) -> Path:
    """Write report.json and report.html beside each other; returns the page's path.

    ResultsError if a file of the study is damaged or of a form that this version does not know."""
    searches = _searches(files)
    kept = {"made_from": digest_of_study(searches), "backup": backup_of(searches)}
    with known_form(files.root):
        report = make(files)
        numbers = numbers_of(report)
    from study.report.rendering import render

    write_text(files.report_html, render(report))
    write_json(files.report_json, numbers | kept)  # last: with it the report stands
    return files.report_html


def report_stands(files: StudyFiles) -> bool:
    """Whether there is a report, and made from the files as they are now."""
    if not (files.report_html.is_file() and files.report_json.is_file()):
        return False
    return bool(read_json(files.report_json).get("made_from") == digest_of_study(_searches(files)))


def _searches(files: StudyFiles) -> list[StudyFiles]:
    return [files, *read_ledger(files.ledger).further_searches(files)]


def make(files: StudyFiles) -> Report:
    """The report of a study, to be written as numbers or as a page."""
    repeat_of = load_settings(files.settings).repeat_of
    if repeat_of is not None:
        raise ResultsError(
            f"{files.root} is a repeat of study '{repeat_of}', expected the study: its report has all searches; make "
            f"it with `study report --name {repeat_of}`"
        )
    return Report(read_study(files), SECTIONS)


def numbers_of(report: Report) -> Record:
    """Every number, sentence and picture that the page shows, as strict JSON."""
    sections = {place.name: report[place.section] for place in report.places}
    numbers: Record = strict(
        {
            "format": FORMAT,
            "written": report.written,
            "broken_runs": report.study.broken_runs,
            **sections,
            "repeated": report[repeated],
            "halfway": report[halfway],
            "pictures": report[pictures],
            "findings": {place.name: report.finding(place) for place in report.shown},
        }
    )
    return numbers
