"""What the dashboard shows of a study beside its trials: notes and figures."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

import optuna
import plotly.graph_objects as go
from optuna.storages import RDBStorage

from study.errors import StorageAwayError
from study.interrupts import shielded
from study.records.finalists import Finalists, choose
from study.records.paths import StudyFiles
from study.records.trial import TrialRecord
from study.report.wording import percent
from study.search.driver import Search
from study.search.family import FamilySearch
from study.search.identity import FINAL, RETRAIN
from study.search.storage import quiet_experimental, transaction

_PUBLISH_EVERY = 15.0  # seconds, or more: publishing takes a hundredth of the time at most
_PUBLISH_SHARE = 0.01
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito


class Publisher:
    """Keeps the note and the best-so-far figure of each family's Optuna study fresh while a search runs."""

    def __init__(self, files: StudyFiles) -> None:
        self._files = files
        self._due = 0.0
        # It takes more than a second, for which workers would wait at their first rung.
        self._loading = threading.Thread(target=importlib.import_module, args=("optuna_dashboard",))

    def search(self, search: Search) -> None:
        """Publish if it is time to, not at the first call: only then, when workers have something to do, is loaded what
        this needs."""
        if self._loading.ident is None:
            self._loading.start()
            return
        began = time.monotonic()
        if began >= self._due and not self._loading.is_alive():
            self.publish(search, "searching")
            ended = time.monotonic()
            self._due = began + max(_PUBLISH_EVERY, (ended - began) / _PUBLISH_SHARE)

    def publish(self, search: Search, state: str) -> None:
        from optuna_dashboard import save_note, save_plotly_graph_object

        figure = best_so_far(list(search.families.values()))
        # Without a server the search has other cares than its note.
        away = contextlib.suppress(StorageAwayError)
        with away, quiet_experimental(), shielded(), transaction(search.storage):
            for family in search.families.values():
                save_note(family.stored, self._note(search, family, state))
                save_plotly_graph_object(family.stored, figure, graph_object_id="best_so_far")

    def _note(self, search: Search, family: FamilySearch, state: str) -> str:
        best, allowance = family.best, search.limits.allowance
        rungs = family.settings.ladder
        ladder = ", ".join(f"{examples:,}" for examples in rungs.examples)
        in_seconds = " by a typical configuration in the same seconds" * (rungs.equal == "seconds")
        images = "" if rungs.images is None else f", learning from {rungs.images:,} of the training images"
        lines = [
            f"# Family {family.name} of study {self._files.name}: {state}",
            f"- trials: {family.counted} counted" + (f", best {_told(best)}" if best else ""),
            *_given(search.given.get(family.name), "given, and not seen by the search"),
            *_given(search.proposed.get(family.name), "proposed, and not seen by the search"),
            f"- spent: {family.spent:.0f} worker-seconds" + (f" of {allowance:.0f}" if allowance else ""),
            f"- rungs, in examples seen{in_seconds}: {ladder}; a trial that did not reach the last one was pruned",
            f"- value: accuracy on the validation split{images}; never a performance of the finalist",
            f"- the best trained again: study `{self._files.name}/{RETRAIN}`",
            f"- numbers: `{self._files.trials_csv}`; report, when done: `{self._files.report_html}`",
        ]
        return "\n".join(lines) + "\n"


def _told(trial: TrialRecord) -> str:
    return f"#{trial.number}, {trial.origin_in_words}, with {100 * trial.last.accuracy:.2f} % on validation"


def _given(given: FamilySearch | None, what: str) -> list[str]:
    """Of a study that keeps apart what is given."""
    if given is None or not given.records:
        return []
    best = f", best {_told(given.best)}" if given.best else ""
    seconds = f"{given.spent:.0f} worker-seconds of their own"
    return [f"- {what}: {given.counted} trials{best}, {seconds}"]


def best_so_far(families: list[FamilySearch]) -> go.Figure:
    """Best validation accuracy of each family against the worker-seconds that it has spent."""
    figure = go.Figure()
    for index, family in enumerate(families):
        xs, ys, spent, best = [], [], 0.0, None
        for record in sorted(family.records, key=lambda record: record.end.isoformat() if record.end else ""):
            spent += record.held_seconds
            if record.state == "COMPLETE" and (best is None or record.last.accuracy > best):
                best = record.last.accuracy
                xs.append(round(spent, 1))
                ys.append(round(100 * best, 3))
        if best is not None:  # the last step lasts until now
            xs.append(round(spent, 1))
            ys.append(ys[-1])
        line = {"shape": "hv", "color": _COLOURS[index % len(_COLOURS)], "dash": ("solid", "dash", "dot")[index % 3]}
        figure.add_trace(go.Scatter(x=xs, y=ys, name=family.name, mode="lines", line=line))
    figure.update_layout(
        title="Best so far, by family", xaxis_title="worker-seconds of the search", yaxis_title="validation accuracy, %"
    )
    return figure


def note_on_retraining(
    storage: RDBStorage, files: StudyFiles, found: Finalists, images: Mapping[str, int | None]
) -> None:
    """The notes of `<name>/retrain` and `<name>/final`: who was trained again and what came of it. `images` says from
    how many each family's trials learned; None is all of them."""
    with quiet_experimental(), transaction(storage):
        for part, lines in ((RETRAIN, _on_candidates(files, found, images)), (FINAL, _on_final_runs(files, found))):
            study = optuna.load_study(study_name=f"{files.name}/{part}", storage=storage)
            _save_note(study, lines)


def _on_candidates(files: StudyFiles, found: Finalists, images: Mapping[str, int | None]) -> Iterator[str]:
    yield f"# Candidates of study {files.name}, trained again"
    yield (
        "Value: accuracy on the validation images, under a fresh seed. The best candidate of a family by the mean of "
        f"its seeds is its finalist, a given one only where it stands alone. Where the budget is long enough for "
        f"that, it is trained once more on all labelled images: study `{files.name}/{FINAL}`."
    )
    for family, row in found.families.items():
        learned = "" if (n_images := images[family]) is None else f", learning from {n_images:,} images"
        for candidate in row.candidates:
            chosen = ", given" if candidate.given else ""
            chosen += ", the finalist" if candidate.trial == row.finalist else ""
            yield (
                f"- {family} #{candidate.trial}{chosen}: {percent(candidate.mean_accuracy)} under fresh seeds, "
                f"{percent(candidate.search_accuracy)} in the search{learned}"
            )
    yield f"- winner by validation: {choose([found]).winner}"


def _on_final_runs(files: StudyFiles, found: Finalists) -> Iterator[str]:
    yield f"# Final runs of study {files.name}"
    candidates = {run for row in found.families.values() for one in row.candidates for run in one.runs}
    if candidates.issuperset(found.final_runs):
        yield f"No runs of its own: the candidates' runs, in study `{files.name}/{RETRAIN}`, are final, too."
        return
    yield (
        "Value: training loss. A final run learns from the validation images, too, so none are left to measure it on "
        "before the test split is opened, and the lowest training loss is not the best network."
    )
    for family, row in found.families.items():
        yield f"- {family}: finalist #{row.finalist}, final runs {', '.join(row.final_runs) or 'none'}"


def _save_note(study: optuna.Study, lines: Iterable[str]) -> None:
    from optuna_dashboard import save_note

    save_note(study, "\n".join(lines) + "\n")
