"""A study's state from its files alone, so that it can be asked while a search runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from study.records.ledger import Ledger, read_ledger
from study.records.locking import is_driven_by
from study.records.paths import StudyFiles, done_runs
from study.records.proposed import read_proposals
from study.records.settings import StudySettings, load_settings
from study.records.trial import Trials, read_trials
from study.space.points import identity


def study_status(files: StudyFiles, holder: str | None = None) -> dict[str, Any]:
    """Families with trials by state, best and seconds; stages with seconds; and lines for people. `holder` is who
    drives the study now."""
    settings = load_settings(files.settings)
    trials = read_trials(files.trials_jsonl)
    ledger = read_ledger(files.ledger)
    waiting = _waiting(files, trials)
    families = {
        name: _family(name, trials.of(name), settings, ledger) | {"proposed_waiting": waiting[name]}
        for name in settings.families
    }
    budget = ledger.budget
    folders = dict(enumerate(ledger.further_searches(files), 2))
    repeats = [study_status(one) | {"search": number} for number, one in folders.items() if one.exists()]
    used = ledger.used + sum(one["used_s"] for one in repeats)
    found = {
        "name": settings.name,
        "search": 1,
        "families": families,
        "budget_s": budget,
        "used_s": round(used, 1),
        "left_s": None if budget is None else round(max(0.0, budget - used), 1),
        "stages_s": ledger.stages,
        "runs_done": len(done_runs(files)),
        "failed_runs": ledger.failed_runs,
        "done": sorted(stage for stage in ledger.reached if ledger.has_reached(stage, ledger.goal)),
        "report": str(files.report_html) if files.report_html.exists() else None,
        "searches": 1 + len(folders),
        "repeats": repeats,
        "running_repeats": [number for number, one in folders.items() if holder and is_driven_by(one, holder)],
        "nodes": [node.model_dump() for node in ledger.commands[-1].nodes] if ledger.commands else [],
    }
    return found | {"lines": _lines(found)}


def _waiting(files: StudyFiles, trials: Trials) -> Counter[str]:
    """How many proposed configurations of each family have no trial yet."""
    tried = {(trial.family, identity(trial.config)) for trial in trials.given}
    return Counter(one.family for one in read_proposals(files) if (one.family, identity(one.config)) not in tried)


def _family(name: str, trials: Trials, settings: StudySettings, ledger: Ledger) -> dict[str, Any]:
    counted, given = settings.of_search(trials).counted, trials.given.counted
    states, best = counted.states, counted.best
    failed = [trial for trial in counted if trial.state == "FAIL"]
    allowance = ledger.allowance
    return {
        "complete": states["COMPLETE"],
        "pruned": states["PRUNED"],
        "failed": states["FAIL"],
        "interrupted": len(trials) - len(trials.counted),
        "best": best.value if best else None,
        "best_percent": f"{100 * best.last.accuracy:.2f} %" if best else "–",
        "best_trial": f"#{best.number}" if best else "–",
        "best_origin": best.origin_in_words if best else None,
        "given": len(given),
        "best_given": given.best.value if given.best else None,
        "spent_s": round(settings.of_search(trials).held_seconds, 1),
        "allowance": f"{allowance:.0f} s" if allowance else "none",
        "last_failure": failed[-1].reason if failed else None,
        "further_seeds": sum(trial.further_seed_of is not None for trial in counted),
        "searched_whole": ledger.searched_whole(name),
    }


def _runs_done(found: dict[str, Any]) -> int:
    return int(found["runs_done"]) + sum(_runs_done(one) for one in found["repeats"])


def _lines(found: dict[str, Any]) -> list[str]:
    budget = (
        ", no limit of time"
        if found["budget_s"] is None
        else f" of {found['budget_s']:.0f} s, {found['left_s']:.0f} s left"
    )
    done = ", ".join(found["done"]) or "none"
    lines = [f"used {found['used_s']:.0f} s{budget}; {_runs_done(found)} runs done; stages done: {done}"]
    searches = [found, *found["repeats"]]
    lines += [
        f"{'' if one is found else one['name'] + ', '}{name}: {said}"
        for one in searches
        for name, row in one["families"].items()
        for said in _remarks(row)
    ]
    lines += [f"{run} failed: {reason}" for one in searches for run, reason in one["failed_runs"].items()]
    if found["searches"] > 1:
        lines += _lines_over_searches(found, searches)
    lines += [line for one in searches for line in _lines_of_nodes(one)]
    return lines + ([f"report: {found['report']}"] if found["report"] else [])


def _lines_of_nodes(found: dict[str, Any]) -> list[str]:
    """Who worked for the last command, if it was not one machine alone."""
    nodes = found["nodes"]
    if len(nodes) < 2:
        return []
    of = f" of {found['name']}" if found["search"] > 1 else ""
    there = [f"{node['name']} {_workers(node)}{_joined(node)}" for node in nodes if node["lost"] is None]
    lost = [
        f"lost at {node['left']}: {node['name']}, {_workers(node)} ({node['lost']})" for node in nodes if node["lost"]
    ]
    return [f"nodes of the last command{of}: {', '.join(there) or 'none is left'}", *lost]


def _workers(node: dict[str, Any]) -> str:
    return "1 worker" if node["workers"] == 1 else f"{node['workers']} workers"


def _joined(node: dict[str, Any]) -> str:
    return f" (joined at {node['joined']})" if node["joined"] else ""


def _remarks(row: dict[str, Any]) -> list[str]:
    """What is to be said of a family's trials."""
    whole = (
        "its one configuration was"
        if row["searched_whole"] == 1
        else f"all {row['searched_whole']} configurations were"
    )
    best = "–" if row["best_given"] is None else f"{100 * row['best_given']:.2f} %"
    said = {
        "given": f"{'1 trial was' if row['given'] == 1 else str(row['given']) + ' trials were'} given, best {best}",
        "proposed_waiting": f"proposed, and waiting for a search: {row['proposed_waiting']}",
        "last_failure": f"last failure: {row['last_failure']}",
        "searched_whole": f"searched whole: {whole} tried",
        "further_seeds": f"{row['further_seeds']} of its trials are further seeds of a configuration tried before",
    }
    return [text for key, text in said.items() if row[key]]


def _at_work(found: dict[str, Any]) -> str:
    *most, last = [str(number) for number in found["running_repeats"]] or [""]
    if not last:
        return ""
    return f"; searches {', '.join(most)} and {last} are at work" if most else f"; search {last} is at work"


def _lines_over_searches(found: dict[str, Any], searches: list[dict[str, Any]]) -> list[str]:
    """How far the searches are, and each family's trials in all of them."""
    ready = sum("retrain" in one["done"] for one in searches)
    lines = [f"{found['searches']} searches: {len(searches)} begun, {ready} with finalists{_at_work(found)}"]
    for name in found["families"]:
        rows = [(one["search"], one["families"][name]) for one in searches if name in one["families"]]
        counts = [f"{sum(row[state] for _, row in rows)} {state}" for state in ("complete", "pruned", "failed")]
        number, best = max(rows, key=lambda numbered: numbered[1]["best"] or 0.0)
        where = f"; best {best['best_percent']}, trial {best['best_trial']} of search {number}" if best["best"] else ""
        lines.append(f"{name} in all searches: {', '.join(counts)}{where}")
    return lines
