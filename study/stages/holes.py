"""What a study has lost: files that its stages wrote and that are not there, each with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from study.errors import ResultsError
from study.records.files import read_json
from study.records.ledger import Ledger, RetrainPlan, read_ledger
from study.records.paths import StudyFiles
from study.records.run import candidate_run, final_run
from study.records.seal import read_openings
from study.stages import standing


def check_records(files: StudyFiles) -> None:
    """ResultsError where one of the study's own records is lost, without which no command can go on."""
    for path in (files.settings, files.ledger):
        if files.trials_jsonl.is_file() and not path.is_file():
            raise ResultsError(f"{path} is missing: {_repair(files)} makes it again from the last report")


def holes(files: StudyFiles) -> Iterator[str]:
    """Of one search of a study, in words; its own folder has what is common to all searches."""
    ledger, searched = read_ledger(files.ledger), files.trials_jsonl.is_file()
    if searched and not files.ledger.is_file():
        yield f"{files.ledger} is missing: {_repair(files)} makes it again from the last report"
    if not searched and "search" in ledger.reached:
        yield f"{files.trials_jsonl} is missing: {_repair(files)} makes it again from the database"
    derived = [files.samples] if not files.repeat_of else []
    if "search" in ledger.reached:
        derived.append(files.trials_csv)
    lost = [path for path in derived if not path.is_file()]
    if _was_retrained(files, ledger):
        lost += standing.lost_by_retraining(files)
    if lost:
        yield f"{_listed(lost)} missing: {_run(files)} makes {_them(lost)} again"
    if not files.repeat_of and files.predictions.is_file() and not files.seal.is_file():
        yield f"{files.seal} is missing: {_repair(files)} makes it again from the last report, or says that nothing can"
    elif searched and files.finalists.is_file():
        yield from _after_retraining(files, ledger, report="report" in ledger.stages)


def _was_retrained(files: StudyFiles, ledger: Ledger) -> bool:
    """Whether a retraining has come to its end: one that is cut short, or at work, has lost nothing."""
    if "retrain" in ledger.reached:
        return True
    runs = [] if ledger.plan is None else list(_planned(ledger.plan))
    if not runs:  # of an older study, or of a ledger that was made again
        return any(files.runs.glob("*-final-seed*/DONE"))
    return all(files.run(run).is_done() for run in runs)


def _planned(plan: RetrainPlan) -> Iterator[str]:
    """The names of its runs; none where it does not say how many there are."""
    if plan.retrain is None:
        return
    for family, chosen in plan.runs.items():
        seeds = range(plan.retrain.candidate_seeds)
        yield from (candidate_run(family, trial, index) for trial in chosen.trials for index in seeds)
        yield from (final_run(family, index) for index in range(plan.retrain.final_seeds))


def _after_retraining(files: StudyFiles, ledger: Ledger, *, report: bool) -> Iterator[str]:
    if files.repeat_of:
        yield from _evaluation(files, [])
        return
    searches = [one for one in (files, *ledger.further_searches(files)) if one.finalists.is_file()]
    whole = all(not standing.lost_by_retraining(one) for one in searches)
    if whole and (of_stage := standing.lost_by_last_stage(searches)):
        yield f"{_listed(of_stage)} missing: {_run(files)} makes {_them(of_stage)} again"
        whole = False
    if whole and len(searches) == ledger.n_searches and not standing.model_stands(searches):
        yield f"{_of_model(files)}: {_run(files)} ships the network that validation chose"
    if read_openings(files.seal):
        more = [files.duplicates] if _has_counted_copies(files) else []
        shifted = read_openings(files.seal)[-1].reading is not None
        yield from _evaluation(files, [*more, files.shipped_predictions] if shifted else more)
        lost = standing.not_examined(files) if "examine" in ledger.reached and whole else []
        if lost:
            paths = [path for name in lost for path in standing.examined_in(files, name)]
            yield f"{_listed(paths)} missing or of other networks: {_run(files)} makes {_them(paths)} again"
    pages = [path for path in (files.report_json, files.report_html) if report and not path.is_file()]
    if pages:
        yield f"{_listed(pages)} missing: `study report {files.named}` makes {_them(pages)} again"


def _has_counted_copies(files: StudyFiles) -> bool:
    """As its last report tells: earlier versions did not count them, and lack nothing."""
    known = read_json(files.report_json) if files.report_json.is_file() else {}
    return (known.get("repeated") or {}).get("n_test") is not None


def _of_model(files: StudyFiles) -> str:
    if not files.model.is_dir():
        return f"{files.model} is missing"
    lost = [path for name in standing.SHIPPED if not (path := files.model / name).is_file()]
    return f"{_listed(lost)} missing" if lost else f"{files.model} is of another network, or of another opening"


def _evaluation(files: StudyFiles, more: Sequence[Path]) -> Iterator[str]:
    written = (files.predictions, files.candidate_predictions, files.test / "images.npz", *more)
    lost = [path for path in written if files.test.is_dir() and not path.is_file()]
    if lost:
        yield (
            f"{_listed(lost)} missing: {_run(files)} makes {_them(lost)} again, without another opening of the test "
            "split as long as the weights are those that were sealed"
        )


# --- words ---------------------------------------------------------------------------------------------------------


def _run(files: StudyFiles) -> str:
    """`study run` that opens the test split only where it was opened before."""
    study = StudyFiles(files.root.parent.parent) if files.repeat_of else files
    sealed = "" if study.seal.is_file() or study.predictions.is_file() else " --no-evaluate"
    return f"`study run {files.named}{sealed}`"


def _repair(files: StudyFiles) -> str:
    return f"`study doctor {files.named} --repair`"


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 2} more are" if len(paths) > 2 else " are" if len(paths) > 1 else " is"
    return ", ".join(map(str, paths[:2])) + more


def _them(paths: Sequence[Path]) -> str:
    return "it" if len(paths) == 1 else "them"
