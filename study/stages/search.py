"""The search stage of one search: its families and their ladders, its allowance, its end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from study.dashboard.publisher import Publisher
from study.errors import ResultsError
from study.models import plugin_behind
from study.records.ledger import FamilySpent, Ledger
from study.records.naming import find_study
from study.records.paths import StudyFiles
from study.records.settings import FamilySettings, Ladder
from study.records.trial import TrialRecord, read_trials
from study.records.trials_csv import write_trials_csv
from study.search.driver import Search
from study.search.family import FamilySearch
from study.search.imports import import_trials, left_out, load_source
from study.search.proposed import SHARE as PROPOSED_SHARE
from study.search.turns import Limits
from study.space.parameters import SearchSpace
from study.stages.allowance import allowances, lent_seconds, speeds_of
from study.stages.extension import unused_budget
from study.stages.ladder import made_alike
from study.stages.one_search import OneSearch
from study.stages.session import Session
from study.stages.speed import measure_speeds
from study.training.config import limits_of


def search_families(one: OneSearch) -> None:
    """Search every family up to the goal. FamilyStoppedError, once the others are done, if one gave up."""
    if one.is_done("search"):
        one.let_others_begin()
        _restore_records(one)
        return
    session = one.session
    with session.ledger.stage("search"):
        _ = one.storage  # opened while the fork server still loads what the workers need
        _add_families(one)
        _import_trials(one)
        _say_what_is_not_used(one)
        session.ledger.save()  # before any trial: with trials and without a ledger a study has lost something
        search = Search(
            session.files,
            session.settings,
            one.storage,
            read_trials(session.files.trials_jsonl),
            one.lock.guarded,
            session.held_out,
        )
        trials = read_trials(session.files.trials_jsonl)  # with those that only the database had
        session.ledger.lent = lent_seconds(one, trials)
        allowed = allowances(one, trials)
        publisher = Publisher(session.files)
        session.ledger.allowance = allowed.found  # which bounds the searches beside this one
        one.let_others_begin()
        until = one.plan.search_deadline(session.ledger.clock())
        proposed = None if allowed.found is None else PROPOSED_SHARE * allowed.found
        limits = Limits(allowed.found, one.goal.n_trials, _deadline(one, until), allowed.given, proposed)
        _say_small_spaces(one, search)

        executor = one.executor

        def observe(search: Search, record: TrialRecord | None) -> None:
            if one.share is not None:  # the part of the seconds that is charged here changes as others begin and end
                search.limits = replace(limits, deadline=_deadline(one, until))
            one.nodes.look(executor.nodes(), in_search=True)
            session.ledger.tick()
            one.progress.search(search, record)
            publisher.search(search)

        try:
            one.nodes.look(executor.nodes(), in_search=True)
            search.run(executor, limits, observe)
        finally:
            _settle(session, search, allowed.found)
        publisher.publish(search, "searched")
        for family in search.families.values():
            if family.is_whole:
                one.progress.say(f"{family.name}: searched whole, {_configurations(family)} and no more")
    one.mark_done("search")


def _deadline(one: OneSearch, until: float | None) -> float | None:
    """When the ledger's clock will show `until`, on the monotonic clock."""
    return None if until is None else time.monotonic() + one.real_seconds(until - one.session.ledger.clock())


def _restore_records(one: OneSearch) -> None:
    """Write trials.jsonl and trials.csv again where they were lost: the database has every trial, too."""
    session = one.session
    files, records = session.files, read_trials(session.files.trials_jsonl)
    n_ended = 1 if session.ledger.n_records is None else session.ledger.n_records
    if len(records) >= n_ended and files.trials_csv.is_file():
        return
    search = Search(files, session.settings, one.storage, records, one.lock.guarded)
    records = search.records
    if len(records) < n_ended:
        raise ResultsError(
            f"{files.trials_jsonl} has {len(records)} trials, as many as the database, expected {n_ended}: nothing can "
            "make the others again; restore it from a backup, or start a new study with --name"
        )
    write_trials_csv(files, records, session.settings.format_version)


def _say_small_spaces(one: OneSearch, search: Search) -> None:
    """A space that is smaller than the trials asked for."""
    wanted = one.goal.n_trials
    for family in search.families.values():
        n = family.tried.n_points
        if n is not None and wanted is not None and n < wanted:
            one.progress.say(
                f"{family.name}: its space holds {_configurations(family)}, fewer than the {wanted} trials asked for: "
                "it is searched whole, each is tried once"
            )


def _configurations(family: FamilySearch) -> str:
    n = family.tried.n_points
    return "1 configuration" if n == 1 else f"{n:,} configurations"


def _settle(session: Session, search: Search, allowance: float | None) -> None:
    """Write the table of trials, and what they took into the ledger."""
    records = search.records
    write_trials_csv(session.files, records, session.settings.format_version)
    session.ledger.allowance = allowance
    session.ledger.n_records = len(records)
    session.ledger.utilisation = utilisation(session.ledger, records, session.n_workers)
    session.ledger.spent = {
        name: FamilySpent(
            held_seconds=round(family.spent, 2),
            training_seconds=round(sum(record.training_seconds for record in family.records), 2),
            searched_whole=family.tried.n_points if family.is_whole else None,
            given_seconds=round(search.given[name].spent + search.proposed[name].spent, 2)
            if name in search.given
            else None,
        )
        for name, family in search.families.items()
    }


def utilisation(ledger: Ledger, records: Iterable[TrialRecord], n_workers: int) -> float:
    """The share of the worker-seconds of the search in which a trial held a worker. Of machines that came or left those
    while they were there: commands of an earlier version noted none, and are left out with their trials."""
    several = ledger.has_several_nodes
    counted = [record for record in records if record.role != "imported" and (record.node is not None or not several)]
    offered = ledger.stage_seconds_now("search") * n_workers
    if several:
        offered = sum(node.offered for node in ledger.nodes)
    return round(min(1.0, sum(record.held_seconds for record in counted) / max(1e-3, offered)), 4)


# --- families ------------------------------------------------------------------------------------------------------


def _say_what_is_not_used(one: OneSearch) -> None:
    """Of a long budget, once, before it is spent; a repeat has the plan of the first search."""
    if one.first is None and (said := unused_budget(one, speeds_of(one))) is not None:
        one.progress.say(f"note: {said}")


def _add_families(one: OneSearch) -> None:
    """Give each new family its ladder, measured where a budget decides, and keep it for good."""
    if one.session.new_spaces:
        families, speeds = new_families(one)
        one.session.ledger.speeds |= speeds
        one.session.save_settings(families)


def new_families(one: OneSearch) -> tuple[dict[str, FamilySettings], dict[str, float]]:
    """The families that this command adds, with their ladders, and examples a second of those that were measured."""
    session = one.session
    allowance = allowances(one, read_trials(session.files.trials_jsonl)).found
    source = _import_source(session)
    old = None if source is None else load_source(source, session.settings)
    unknown = [space for space in session.new_spaces if old is None or space.family not in old.families]
    speeds = measure_speeds(one.executor, unknown) if allowance is not None and unknown else {}
    plan, n_train = one.plan, session.settings.dataset.n_train
    theirs = {} if old is None else {space.family: old.families.get(space.family) for space in session.new_spaces}
    known = [family for family in (*session.settings.families.values(), *theirs.values()) if family is not None]
    in_seconds = allowance is not None and session.device.type == "cpu"
    workers = {"n_workers": session.n_workers, "n_at_once": session.n_at_once}
    ladders = {
        space.family: plan.ladder(n_train, speeds.get(space.family), allowance, **workers)
        if (before := theirs.get(space.family)) is None
        else before.ladder
        for space in session.new_spaces
    }
    ladders = made_alike(ladders, [family.ladder for family in known], in_seconds=in_seconds)
    return {space.family: _settings_of(space, ladders[space.family]) for space in session.new_spaces}, speeds


def _settings_of(space: SearchSpace, ladder: Ladder) -> FamilySettings:
    plugin = plugin_behind(space.family)
    return FamilySettings(
        space_file=Path(space.source).name,
        space=space.text,
        ladder=ladder,
        limits=limits_of(space.family),
        package=None if plugin is None else plugin.package,
        package_version=None if plugin is None else plugin.version,
    )


def _import_trials(one: OneSearch) -> None:
    """Take over the trials of `--from`, once for each family; a command that was killed halfway is continued."""
    session, done = one.session, set(one.session.ledger.imported)
    families = set(session.settings.families) - done
    if session.settings.imported_from is None or not families:
        return
    source = _import_source(session)
    if source is None:
        said = f"{session.settings.imported_from} is gone: {', '.join(sorted(families))} without its trials"
    else:
        load_source(source, session.settings)
        fits = import_trials(session.files, session.settings, one.storage, source, families)
        n, others = sum(len(fit.trials) for fit in fits.values()), left_out(fits)
        what = "imported and charged" if session.settings.given is None else "given to this one beside its search"
        said = f"{n} trials of study '{source.name}' {what}{f'; left out: {others}' if others else ''}"
    session.ledger.imported = tuple(sorted(families | done))
    session.ledger.save()
    one.progress.say(said)


def _import_source(session: Session) -> StudyFiles | None:
    """The study of `--from`. It is needed for families that begin with its trials; one that is added after it was
    removed begins without."""
    word = session.settings.imported_from
    if word is None:
        return None
    try:
        return find_study(word, session.request.results)
    except ResultsError:
        if session.ledger.imported:
            return None
        raise
