"""Charts of sections that have no module of their own yet."""

from __future__ import annotations

from typing import Any

from study.report import wording
from study.report.charts import COLOURS, Chart, Figure, family_style, layout
from study.report.wording import percent

Record = dict[str, Any]

STATE_COLOURS = {"COMPLETE": "#009E73", "PRUNED": "#56B4E9", "FAIL": "#D55E00"}
STATE_PATTERNS = {"COMPLETE": "", "PRUNED": "/", "FAIL": "x"}


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


def tuning(report: Record, over: str) -> Chart | None:
    """Best so far over `seconds` or `trials`, one plain line per search."""
    curves = {name: curve for name, curve in report["fair"]["curves"].items() if curve["steps"]}
    if not curves:
        return None
    families = list(report["fair"]["curves"])
    data = [_tuning_line(name, curve, over, family_style(families, name)) for name, curve in curves.items()]
    rows = [
        (name, f"#{step['number']}", f"{step['seconds']:.1f}", str(step["trials"]), percent(step["value"]))
        for name, curve in curves.items()
        for step in curve["steps"]
    ]
    x = {"seconds": "worker-seconds spent", "trials": "sampled trials finished"}[over]
    figure = {"data": data, "layout": layout(x, "best on validation, %")}
    label = f"Best validation score so far against {x}, one search per family. {report['findings']['fair']}"
    return Chart(f"tuning-{over}", label, figure, ("family", "trial", "worker-seconds", "sampled trials", "best"), rows)


def _tuning_line(name: str, curve: Record, over: str, style: tuple[str, str, str]) -> Figure:
    colour, symbol, dash = style
    xs = [step[over] for step in curve["steps"]] + [curve[over]]
    ys = [100 * step["value"] for step in curve["steps"]] + [100 * curve["best"]]
    line = {"shape": "hv", "color": colour, "dash": dash}
    marker = {"symbol": symbol, "size": 7}
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": xs,
        "y": ys,
        "line": line,
        "marker": marker,
    }


def expected_max(report: Record) -> Chart | None:
    curves = {name: c["expected_max"] for name, c in report["fair"]["curves"].items() if c["expected_max"]}
    if not curves:
        return None
    families = list(report["fair"]["curves"])
    data = []
    for name, values in curves.items():
        colour, _, dash = family_style(families, name)
        line = {"color": colour, "dash": dash}
        ms = list(range(1, len(values) + 1))
        scaled = [100 * value for value in values]
        data.append({"type": "scatter", "mode": "lines", "name": name, "x": ms, "y": scaled, "line": line})
    rows = [(name, str(m), percent(value, 3)) for name, values in curves.items() for m, value in enumerate(values, 1)]
    figure = {"data": data, "layout": layout("random draws m", "expected best of m, %")}
    label = "Expected best validation score of m independent complete draws"
    return Chart("expected-max", label, figure, ("family", "m", "expected best"), rows)


def importance(report: Record, family: str, place: int) -> Chart | None:
    shares = report["mattered"]["families"][family]["importances"]
    if not shares:
        return None
    names = list(shares)[:15]
    values = [100 * shares[name] for name in names]
    trace = {"type": "bar", "orientation": "h", "x": values, "y": names, "marker": {"color": COLOURS[place % 6]}}
    axis = layout("share of importance, %", "", 130 + 26 * len(names))
    axis["yaxis"] |= {"type": "category", "autorange": "reversed", "automargin": True}
    rows = [(name, percent(share, 1)) for name, share in shares.items()]
    entry = report["mattered"]["families"][family]
    basis = f"{wording.integer(entry['importance_examples'])} examples, {entry['importance_trials']} sampled trials"
    label = f"PED-ANOVA importance of the parameters of {family}, by the accuracy after {basis}"
    return Chart(f"importance-{place}", label, {"data": [trace], "layout": axis}, ("parameter", "importance"), rows)


def timeline(report: Record) -> Chart | None:
    bars = report["health"]["timeline"]
    if not bars:
        return None
    data = []
    for state, colour in STATE_COLOURS.items():
        inside = [bar for bar in bars if bar["state"] == state]
        if inside:
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": state.lower(),
                    "base": [bar["start"] for bar in inside],
                    "x": [bar["seconds"] for bar in inside],
                    "y": [f"worker {bar['worker']}" for bar in inside],
                    "text": [f"{bar['family']} #{bar['number']}" for bar in inside],
                    "textposition": "none",
                    "marker": {"color": colour, "pattern": {"shape": STATE_PATTERNS[state]}},
                }
            )
    workers = len({bar["worker"] for bar in bars})
    axis = layout("seconds since the first trial", "", 170 + 34 * workers, barmode="overlay")
    axis["yaxis"] |= {"type": "category", "automargin": True, "categoryorder": "category ascending"}
    rows = [
        (f"{b['family']} #{b['number']}", str(b["worker"]), b["state"], f"{b['start']:.1f}", f"{b['seconds']:.1f}")
        for b in bars
    ]
    label = f"Trials on their workers over time. {report['findings']['health']}"
    columns = ("trial", "worker", "state", "start, s", "length, s")
    return Chart("timeline", label, {"data": data, "layout": axis}, columns, rows)
