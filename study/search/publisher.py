"""What the dashboard shows of a study beside its trials: notes and figures."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time

import optuna
import plotly.graph_objects as go

from study.errors import StorageAwayError
from study.interrupts import shielded
from study.records.finalists import Finalists, choose
from study.records.paths import StudyFiles
from study.search.driver import Search
from study.search.family import FamilySearch
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
        ladder = ", ".join(f"{examples:,}" for examples in family.settings.ladder.examples)
        lines = [
            f"# Family {family.name} of study {self._files.name}: {state}",
            f"- trials: {family.counted} counted"
            + (f", best #{best.number} with {100 * best.last.accuracy:.2f} % on validation" if best else ""),
            f"- spent: {family.spent:.0f} worker-seconds" + (f" of {allowance:.0f}" if allowance else ""),
            f"- rungs, in examples seen: {ladder}; a trial that did not reach the last one was pruned",
            "- value: accuracy on the validation split; never a performance of the finalist",
            f"- retraining of the best: study `{self._files.name}/retrain`",
            f"- numbers: `{self._files.trials_csv}`; report, when done: `{self._files.report_html}`",
        ]
        return "\n".join(lines) + "\n"


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


def note_on_retraining(storage: optuna.storages.BaseStorage, files: StudyFiles, found: Finalists) -> None:
    """The note of `<name>/retrain`: who was trained again and what came of it."""
    from optuna_dashboard import save_note

    lines = [
        f"# Retraining of study {files.name}",
        "Value: a candidate's accuracy on validation, trained again under a fresh seed. The final runs were trained on "
        "the validation images, too, and have no value: they are listed as pruned, though they ran to their end.",
    ]
    for family, row in found.families.items():
        lines.append(f"- {family}: finalist #{row.finalist}, final runs {', '.join(row.final_runs) or 'none'}")
        lines += [
            f"  - candidate #{candidate.trial}: {100 * candidate.search_accuracy:.2f} % in the search, "
            f"{100 * candidate.mean_accuracy:.2f} % under fresh seeds (validation)"
            for candidate in row.candidates
        ]
    lines += [f"- winner by validation: {choose([found]).winner}", f"- report: `{files.report_html}`"]
    study = optuna.load_study(study_name=f"{files.name}/retrain", storage=storage)
    with quiet_experimental():
        save_note(study, "\n".join(lines) + "\n")
