"""What is advised: a sentence that cites its section, and the commands in it."""

from __future__ import annotations

from dataclasses import dataclass

from study.records.ledger import DEFAULT_BUDGET
from study.report.section import Report
from study.report.sections import protocol
from study.report.wording import flag_value
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Advice(Result):
    """A sentence, and the number of the section that it rests on."""

    text: str
    section: int


def more_time(report: Report) -> str:
    """The command that gives a study twice of what it was given, or has taken where that was more."""
    asked = report[protocol]
    if asked.budget_s is None and asked.n_trials:
        return f"{continued(report)} --n-trials {2 * asked.n_trials}{unopened_still(report)}"
    twice = flag_value(2 * max(asked.budget_s or DEFAULT_BUDGET, report.study.ledger.used))
    return f"{continued(report)} --budget {twice}{unopened_still(report)}"


def continued(report: Report) -> str:
    return f"study run --name {report.study.settings.name}"


def unopened_still(report: Report) -> str:
    """What keeps the test split as closed as it is now while one tunes: it is open, was left sealed on purpose, or has
    nothing to tell of one family alone."""
    sealed = report.study.stage == "retrained" or is_alone(report)
    return " --no-evaluate" if report.study.openings or sealed else ""


def in_first(report: Report) -> str:
    """What a sentence says of a section that shows one search of several."""
    return " in search 1" if report.study.n_searches > 1 else ""


def is_alone(report: Report) -> bool:
    return len(report.study.families) == 1


def opens_again(report: Report) -> str:
    """What a further look at the test split costs, for advice that needs one."""
    opened = report.study.openings
    return "; it opens the test split again, which makes the report exploratory" if opened else ""
