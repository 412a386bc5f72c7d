"""A page of sections in one file: Jinja2 with autoescape, the charts and plotly's script packed inside."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from study.report import wording
from study.report.charts import Chart
from study.report.terms import TERMS

_VERBATIM = re.compile(r"(<(?:pre|code)\b.*?</(?:pre|code)>)", re.DOTALL)
_TEXT = re.compile(r"(?<=>)[^<]+")
# Tags that plotly needs; everything else between angle brackets came from outside and is shown as text.
KEPT_TAGS = ("<br>", "<extra></extra>")


@dataclass(frozen=True, slots=True)
class Shown:
    """A section as the page shows it; `body` is what stands below its title and its finding."""

    name: str
    number: int
    title: str
    is_open: bool
    finding: str
    body: Markup
    charts: Sequence[Chart]


def body(template: str, **values: Any) -> Markup:
    """What a template of this folder gives for values of these names."""
    return Markup(_environment().get_template(template).render(**values))


def fill(title: str, masthead: Markup, parts: Sequence[Shown], numbers_file: str) -> str:
    """A page of numbered sections below a masthead, with the figures of their charts packed inside."""
    packed = {chart.id: escaped(chart.figure) for part in parts for chart in part.charts}
    parts = [replace(part, finding=wording.typeset(part.finding), body=_typeset(part.body)) for part in parts]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            masthead=_typeset(masthead),
            parts=parts,
            numbers_file=numbers_file,
            plotly=packed_plotly() if packed else "",
            figures=pack(json.dumps(packed, allow_nan=False)),
        )
    )


def _typeset(body: Markup) -> Markup:
    """Its text, without what is to be copied as it stands."""
    parts = _VERBATIM.split(body)
    return Markup("".join(part if place % 2 else _TEXT.sub(_text, part) for place, part in enumerate(parts)))


def _text(found: re.Match[str]) -> str:
    return wording.typeset(found[0])


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        name: getattr(wording, name)
        for name in ("percent", "points", "interval", "point_interval", "p_cell", "integer", "compact", "duration")
    }
    environment.filters["shown"] = wording.plain
    environment.globals |= {
        "count": wording.count,
        "times": wording.times,
        "listing": wording.listing,
        "NONE": wording.NONE,
        "TERMS": TERMS,
    }
    return environment


def escaped(value: Any) -> Any:
    """Strings of a figure with every angle bracket as text: plotly renders tags in labels, links included."""
    if isinstance(value, dict):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return wording.typeset(_escaped_text(value)) if isinstance(value, str) else value


def _escaped_text(text: str) -> str:
    if "<" not in text and "&" not in text:
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for tag in KEPT_TAGS:
        text = text.replace(tag.replace("<", "&lt;").replace(">", "&gt;"), tag)
    return text


def pack(text: str) -> str:
    """gzip and base64: no angle bracket is left that could end a script element."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


@cache
def packed_plotly() -> str:
    from plotly.offline import get_plotlyjs

    return pack(get_plotlyjs())
