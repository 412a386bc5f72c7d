"""Charts of sections that have no module of their own yet."""

from __future__ import annotations

from typing import Any

from study.report.charts import COLOURS, Chart, layout

Record = dict[str, Any]


def class_counts(report: Record) -> Chart | None:
    numbers = report["protocol"]
    if not numbers["counts"]:
        return None
    classes = numbers["classes"]
    data = [
        {"type": "bar", "name": part, "x": classes, "y": counts, "marker": {"color": colour, "pattern": {"shape": p}}}
        for (part, counts), colour, p in zip(numbers["counts"].items(), COLOURS, ("", "/", "."), strict=False)
    ]
    columns = ("class", *numbers["counts"])
    counted = zip(*numbers["counts"].values(), strict=True)
    rows = [(name, *(f"{n:,}" for n in counts)) for name, counts in zip(classes, counted, strict=False)]
    axis = layout("class", "images", 280, barmode="group")
    axis["xaxis"]["type"] = "category"
    return Chart("class-counts", "Images per class and part", {"data": data, "layout": axis}, columns, rows)
