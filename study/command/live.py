"""Progress in a notebook: one table that changes in place, instead of lines."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from study.command.progress import Reporter, percent
from study.records.trial import TrialRecord
from study.search.driver import Search

_SHOWN_LINES = 6  # of what was said last
_SECONDS = 0.5  # between two drawings, so that a fast search does not flood the browser


class Handle(Protocol):
    """What IPython gives for an output that can be drawn again."""

    def update(self, obj: object) -> None: ...


def reporter(quiet: bool) -> Reporter:
    """A live table where a notebook's kernel runs this, else a bar at a terminal or lines in a pipe."""
    return Reporter(quiet) if quiet or not in_notebook() else LiveTable()


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")  # whoever runs in it has it loaded
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class LiveTable(Reporter):
    """A stage with its time left, a row for each family, and what was said last."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(quiet=True, now=now)
        self._handle: Handle | None = None
        self._drawn = -1.0
        self._said: list[str] = []
        self._stage, self._doing = "", ""
        self._rows: list[Sequence[str]] = []

    def say(self, text: str) -> None:
        self._said = [*self._said, text][-_SHOWN_LINES:]
        self._draw()

    def _open(self, name: str) -> None:
        self._stage, self._doing = name, ""
        self._draw()

    def end(self) -> None:
        if self._stage:
            self._stage = self._doing = ""
            self._draw()

    def search(self, search: Search, record: TrialRecord | None) -> None:
        families = search.families.values()
        bests = [(family, family.best) for family in families]
        self._rows = [
            (
                family.name,
                str(family.counted),
                percent(best.value if best else None),
                f"#{best.number}" if best else "–",
            )
            for family, best in bests
        ]
        super().search(search, record)

    def _log(self, text: str) -> None:
        """The table and its first line show it."""

    def _show(self, share: float | None, text: str) -> None:
        if self._stage != "search":  # of which the rows tell
            self._doing = text
        if self._now() - self._drawn >= _SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = self._now()
        shown = _Html(self._page())
        if self._handle is None:
            self._handle = _display(shown)
        else:
            self._handle.update(shown)

    def _page(self) -> str:
        head = " · ".join(filter(None, (self._stage or "done", self._doing, self.left() if self._stage else "")))
        names = ("family", "trials", "best", "trial")
        titles = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows)
        table = f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>" if self._rows else ""
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in self._said)
        return f"<div><b>{html.escape(head)}</b>{table}<small>{lines}</small></div>"


class _Html:
    """What a notebook shows as it is written."""

    def __init__(self, page: str) -> None:
        self._page = page

    def _repr_html_(self) -> str:
        return self._page

    def __repr__(self) -> str:
        return "Digit Study at work"


def _display(shown: object) -> Any:
    from importlib import import_module

    return import_module("IPython.display").display(shown, display_id=True)
