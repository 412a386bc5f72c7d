"""The report's page from its numbers: which charts stand in which section, Optuna's figures among them."""

from __future__ import annotations

from typing import Any

from study.report import cells, evaluation_figures, figures, history, robustness_figures, wording
from study.report.figures import Chart
from study.report.template import fill

Record = dict[str, Any]

OPTUNA_TITLES = {
    "history": "Optimization history of {}: each completed trial and the best so far",
    "parallel": "Parallel coordinates of {}: one line per {}",
    "slice": "Slices of {}: validation accuracy against each parameter, one point per {}",
}
HEIGHTS = {"history": 360, "parallel": 420, "slice": 340}
BETWEEN_SEARCHES = ("searches", 19, "Between searches", True)  # of a study that has several
# Section id, number, title, whether it stands open.
TITLES = (
    ("answer", 1, "Answer in brief", True),
    ("protocol", 2, "Question, data, protocol", False),
    ("families", 3, "Families and search spaces", False),
    ("leaderboard", 4, "Leaderboard", True),
    ("fair", 5, "Fair comparison of the searches", False),
    ("pairwise", 6, "Pairwise tests", True),
    ("seeds", 7, "Spread between seeds", False),
    ("cost", 8, "Accuracy against cost", False),
    ("classes", 9, "Per class", True),
    ("hardest", 10, "Hardest images", False),
    ("calibration", 11, "Calibration and abstention", False),
    ("robustness", 12, "Robustness", True),
    ("curves", 13, "Learning curves", False),
    ("mattered", 14, "What mattered", False),
    ("health", 15, "Health of the search", False),
    ("limits", 16, "Limits", False),
    ("conclusion", 17, "Conclusion and future work", True),
    ("reproduce", 18, "Reproduce", False),
)


def render(report: Record) -> str:
    """The whole page as one string; it draws on nothing but `report` and the installed plotly."""
    return fill(
        "sections.html.j2",
        all_charts(report),
        cells.FUNCTIONS,
        report=report,
        findings=report["findings"],
        titles=(*TITLES, BETWEEN_SEARCHES) if report["searches"] else TITLES,
        title=f"{report['header']['name']} – study report",
        numbers_file="report.json",
        families=[row["family"] for row in report["families"]["families"]],
    )


def all_charts(report: Record) -> dict[str, list[Chart]]:
    """Section -> its charts in order; those without data are left out."""
    classes = list(report["classes"]["families"])
    groups: dict[str, list[Chart | None]] = {
        "protocol": [figures.class_counts(report)],
        "fair": [figures.tuning(report, "seconds"), figures.tuning(report, "trials"), figures.expected_max(report)],
        "pairwise": [evaluation_figures.forest(report)],
        "seeds": [evaluation_figures.seeds(report)],
        "cost": [evaluation_figures.cost(report)],
        "classes": [evaluation_figures.confusion(report, family, place) for place, family in enumerate(classes)],
        "calibration": [evaluation_figures.reliability(report), evaluation_figures.risk(report)],
        "robustness": robustness_figures.charts(report),
        "curves": [figures.learning(report)],
        "health": [figures.timeline(report)],
        "searches": [evaluation_figures.searches(report)],
    }
    for place, family in enumerate(report["mattered"]["families"]):
        groups[f"mattered-{place}"] = [figures.importance(report, family, place), *_optuna(report, family, place)]
        groups[f"ablation-{place}"] = [evaluation_figures.ablation(report, family, place)]
    return {name: [chart for chart in group if chart is not None] for name, group in groups.items()}


def _optuna(report: Record, family: str, place: int) -> list[Chart]:
    entry = report["mattered"]["families"][family]
    rung = entry["importance_examples"]
    at_rung = [{**trial, "state": "COMPLETE", "value": trial["rung_accuracy"]} for trial in entry["trials"]]
    reached = entry["trials"] if rung is None else [trial for trial in at_rung if trial["value"] is not None]
    each = "completed trial" if rung is None else f"trial, its value after {wording.integer(rung)} examples"
    drawn = history.figures(entry["trials"], reached, entry["distributions"], list(entry["importances"] or []))
    columns, rows = _trial_table(entry)
    charts = []
    for kind, figure in drawn.items():
        figure["layout"]["height"] = HEIGHTS[kind]
        title = OPTUNA_TITLES[kind].format(family, each)
        # The trials' table is the data of all three figures; it stands under the first.
        charts.append(Chart(f"{kind}-{place}", title, figure, columns, rows if kind == "history" else []))
    return charts


def _trial_table(entry: Record) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = list(entry["distributions"])
    rows = [
        (
            f"#{trial['number']}",
            trial["state"],
            wording.percent(trial["value"]),
            *(wording.plain(trial["parameters"].get(name)) for name in names),
        )
        for trial in entry["trials"]
    ]
    return ("trial", "state", "validation", *names), rows
