"""The comparison's page from its numbers, by the means of the report's page."""

from __future__ import annotations

from study.report import wording
from study.report.comparison import cells, figures
from study.report.reading import Record
from study.report.template import Shown, fill, macros

# Section id, number, title, whether it stands open.
TITLES = (
    ("answer", 1, "Finding", True),
    ("protocol", 2, "What differs in protocol", True),
    ("leaderboard", 3, "Leaderboard of all finalists", True),
    ("pairwise", 4, "Exploratory differences", True),
    ("cost", 5, "Accuracy against cost", True),
    ("limits", 6, "What cannot be compared", True),
)


def render(comparison: Record, numbers_file: str) -> str:
    """The whole page as one string; `numbers_file` is the name of the file beside it that holds `comparison`."""
    names = [entry["label"] for entry in comparison["studies"]]
    charts = figures.charts(comparison)
    sections = macros(
        "comparison/sections.html.j2",
        cells.FUNCTIONS,
        charts=charts,
        comparison=comparison,
        findings=comparison["findings"],
        names=names,
        drawn_pairs=figures.DRAWN_PAIRS,
    )
    parts = [
        Shown(
            name,
            number,
            title,
            is_open,
            comparison["findings"][name],
            getattr(sections, name)(),
            charts.get(name, []),
        )
        for name, number, title, is_open in TITLES
    ]
    return fill(f"{wording.listing(names)} – comparison of studies", sections.masthead(), parts, numbers_file)
