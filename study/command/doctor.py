"""Is this installation, this dataset, this study sound? One row a question, in plain words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from study.command.console import no_study_in
from study.errors import ResultsError, StudyError
from study.records.ledger import read_ledger
from study.records.openings import IMAGES, how_counted
from study.records.paths import StudyFiles
from study.records.run import lacking
from study.records.trial import read_trials
from study.stages.holes import holes

Finding = dict[str, Any]


def examine(
    files: StudyFiles, dataset: str | None, data_dir: Path | None, storage: str | None, *, named: bool = False
) -> list[Finding]:
    """All findings; a study is looked at only if there is one, with one finding for each search after the first, and
    `named` says that there must be one."""
    findings = [_ask("installation", _installation), _ask("device", _device)]
    findings.append(_ask("search spaces", _spaces))
    findings += _data(files, dataset, data_dir)
    if not files.exists():
        sound = not named and not files.trials_jsonl.exists()
        findings.append({"what": "study", "sound": sound, "found": no_study_in(files)})
    else:
        findings += examine_study(files, storage)
    return findings


def examine_study(files: StudyFiles, storage: str | None) -> list[Finding]:
    """What is found of a study that exists, each of its searches after the first in one finding."""
    return [
        _ask("study files", lambda: _study(files)),
        database_finding(files, storage),
        _ask("runs", lambda: _runs(files)),
        _ask("model", lambda: _model(files)),
        *_repeats(files, storage),
    ]


def _ask(what: str, question: Callable[[], str]) -> Finding:
    try:
        return {"what": what, "sound": True, "found": question()}
    except StudyError as error:
        return {"what": what, "sound": False, "found": str(error)}


def _installation() -> str:
    from packaging.requirements import Requirement

    checked = 0
    for line in requires("digit-study") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            raise StudyError(f"package {requirement.name} is missing: pip install digit-study") from None
        if not requirement.specifier.contains(found, prereleases=True):
            raise StudyError(f"package {requirement.name} is {found}, expected {requirement.specifier}: reinstall")
        checked += 1
    return f"Python {sys.version.split()[0]}, {checked} packages in the versions asked for"


def _device() -> str:
    from study.stages.machine import choose_device, describe_machine, fitting_workers
    from study.training.loop import choose_precision

    device = choose_device("auto")
    machine = describe_machine(device)
    gpu = f"{machine.gpu}, " if machine.gpu is not None else ""
    cores, workers = machine.cores, fitting_workers(device)
    counted = "1 core" if cores == 1 else f"{cores} cores"
    return f"{device}, {gpu}{choose_precision(device)}, {counted}" + (f", {workers} workers" if gpu else "")


def _spaces() -> str:
    """Those of the program and of other packages; a family without a space of its own is loaded all the same."""
    from study.models import family_of, plugin_behind
    from study.search.spaces import check_space
    from study.space.bundled import bundled_spaces
    from study.space.plugins import plugins
    from study.space.sampling import find_space, known_spaces

    said = sorted(bundled_spaces())
    for name in known_spaces():
        check_space(find_space(name))
    for plugin in plugins():
        if plugin_behind(plugin.family) is None:
            said.append(f"{plugin} not used, since the program has a family of that name")
        else:
            family_of(plugin.family)
            said.append(f"{plugin.family} ({plugin.package} {plugin.version})")
    return ", ".join(said)


def _data(files: StudyFiles, dataset: str | None, data_dir: Path | None) -> list[Finding]:
    """The data set's finding, and one for each oddity that its user should know, which is no fault of the files."""
    notes: list[str] = []
    found = _ask("dataset", lambda: _dataset(files, dataset, data_dir, notes))
    return [found, *({"what": "dataset, note", "sound": True, "found": note} for note in notes)]


def _dataset(files: StudyFiles, dataset: str | None, data_dir: Path | None, notes: list[str]) -> str:
    """Of a study its own data, in `data_dir` if they were moved there, unless another data set is named."""
    from study.data.remarks import survey
    from study.data.source import Source
    from study.records.settings import load_settings

    recorded = load_settings(files.settings).dataset if files.exists() else None
    if recorded is not None and dataset in (None, recorded.name):
        source = Source.recorded(recorded, data_dir)
    else:
        source = Source.asked(dataset, data_dir)
    seen = survey(source)
    notes += seen.remarks
    if seen.test is not None:
        notes.append(how_counted(seen.test.sha256[IMAGES]))
    train = f"{source.name}: {len(seen.dataset):,} training"
    if seen.test is None:
        return f"{train} images, checksums as expected; no test images, which only `study evaluate` needs"
    return f"{train} and {sum(seen.test.counts):,} test images, checksums as expected"


def _study(files: StudyFiles) -> str:
    from study.records.settings import load_settings

    settings = load_settings(files.settings)
    records = read_trials(files.trials_jsonl)
    lost = list(holes(files))
    if lost:
        raise ResultsError("; ".join(lost))
    return f"{settings.name}: {len(records)} trials, every checksum holds{_whence(files)}"


def _whence(files: StudyFiles) -> str:
    """What the next command that continues a study makes of its folder, if that is not where it was."""
    from study.search.identity import is_copy, is_here, last_place

    if is_here(files):
        return ""
    what = "a copy, to be a study of its own" if is_copy(files) else "renamed or moved"
    return f"; {what}; it was {last_place(files)} when it was last continued"


def database_finding(files: StudyFiles, storage: str | None) -> Finding:
    return _ask("database", lambda: _database(files, storage))


def _database(files: StudyFiles, storage: str | None) -> str:
    from study.records.settings import load_settings
    from study.report.wording import count
    from study.search.agreement import compare_all, only_stored
    from study.search.identity import stored_studies
    from study.search.opening import refuse_foreign
    from study.search.storage import open_storage, own_database, storage_url

    url = storage_url(files, storage)
    if url == own_database(files) and not files.database.exists():
        raise ResultsError(
            f"{files.database} is missing: rebuild it with `study doctor {files.named} --repair`; "
            "was the study made with --storage?"
        )
    opened, settings = open_storage(url), load_settings(files.settings)
    try:
        refuse_foreign(opened, stored_studies(opened), files, settings)
        records = read_trials(files.trials_jsonl)
        n, missing = compare_all(opened, settings, records, files), only_stored(opened, settings, records, files)
    finally:
        opened.engine.dispose()
    if missing:
        raise ResultsError(
            f"{count(len(missing), 'finished trial')} of the database {'are' if len(missing) > 1 else 'is'} not in "
            f"{files.trials_jsonl}: add them with `study doctor {files.named} --repair`"
        )
    return f"{n} finished trials agree with trials.jsonl"


def set_aside(files: StudyFiles, storage: str | None) -> str:
    """Free the study's name in a database where another study has it; returns what was done, in words."""
    from study.search import opening
    from study.search.storage import is_own, storage_url

    url = storage_url(files, storage)
    if is_own(files, url) and not files.database.exists():
        raise ResultsError(
            f"{files.database} is missing: give the database where another study has the name, --storage"
        )
    return opening.set_aside(files, url)


def _runs(files: StudyFiles) -> str:
    from study.evaluation.test_set import load_run
    from study.records.paths import done_runs

    _require_packages(files)
    names = [run for run in done_runs(files) if not lacking(files.run(run))]  # else it is said under study files
    for name in names:
        load_run(files.run(name))
    return f"{len(names)} finished runs, all can be rebuilt"


def _require_packages(files: StudyFiles) -> None:
    """ConfigError for a family of the study whose package is not installed."""
    from study.records.settings import load_settings
    from study.space.plugins import require_installed

    settings = load_settings(files.settings) if files.settings.exists() else None
    for name, family in settings.families.items() if settings is not None else ():
        require_installed(name, family.package, family.package_version)


def _model(files: StudyFiles) -> str:
    from study.inference.bundle import load_bundle

    if not files.model.is_dir():
        return "none yet"
    load_bundle(files.model)
    return "loads"


# --- the searches after the first ----------------------------------------------------------------------------------


def _repeats(files: StudyFiles, storage: str | None) -> list[Finding]:
    try:
        ledger = read_ledger(files.ledger)
    except ResultsError:
        return []  # said of the study's files
    evaluated = ledger.reached["evaluate"].n_searches if "evaluate" in ledger.reached else 1
    return [
        _ask(f"search {number}", partial(_repeat, one, storage, evaluated=number <= evaluated))
        for number, one in enumerate(ledger.further_searches(files), 2)
    ]


def _repeat(files: StudyFiles, storage: str | None, *, evaluated: bool) -> str:
    """What is asked of a study, asked of one of its repeats; ResultsError with everything that is wrong."""
    if not files.exists() and not files.trials_jsonl.exists():
        if evaluated:
            raise ResultsError(
                f"{files.root} is missing, though the test split was opened for its runs: restore it from a backup; "
                "`study run` would search again and open the test split once more"
            )
        return "not begun yet"
    questions = (lambda: _study(files), lambda: _database(files, storage), lambda: _runs(files))
    findings = [_ask(files.name, question) for question in questions]
    wrong = [finding["found"] for finding in findings if not finding["sound"]]
    if wrong:
        raise ResultsError("; ".join(dict.fromkeys(wrong)))
    return "; ".join(finding["found"] for finding in findings)
