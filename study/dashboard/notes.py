"""What the dashboard says of a trial in words: what it is, how it ended, its configuration, what came of the study.

The words are made when the dashboard asks for them, from the trial and the study's files: no search waits for them, a
study of any age has them, and nothing is lost with a command that is killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w
from optuna.trial import FrozenTrial

from study.errors import ResultsError
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.predictions import read_logits
from study.records.run import Run, RunRole, read_run
from study.records.trial import Ending, Role, TrialRecord, parse_trial
from study.report.wording import capital, compact, duration, percent, setting
from study.search.identity import WATCHED
from study.statistics.logits import accuracy

_ROLES: Mapping[Role, str] = {
    "sampled": "drawn by the search",
    "warm_start": "a warm start of the search space",
    "given_file": "given in a file",
    "imported": "taken over from another study",
    "proposed": "proposed while the search ran",
}
_ENDINGS: Mapping[Ending, str] = {
    "complete": "completed",
    "pruned": "ended early by the pruner",
    "budget": "ended early, since the budget of the search was spent",
    "failed": "failed",
    "interrupted": "interrupted, and tried again",
    "withdrawn": "withdrawn before it began",
}
_LOOK: Mapping[RunRole, str] = {
    "candidate": "Its learning curve, its confusions and the digits that it misread are among the artifacts.",
    "final": "Its training loss is among the artifacts.",
}
_DAMAGED = (ResultsError, KeyError, TypeError, ValueError, AttributeError)


class Notes:
    """The notes of a study and of its trials."""

    def __init__(self, files: StudyFiles) -> None:
        self._files = files
        self._tests: tuple[float, Mapping[str, float]] = (0.0, {})

    def is_own(self, study_name: str) -> bool:
        """Whether an Optuna study of the database is a part of this study."""
        return study_name.rpartition("/")[0] == self._files.name

    def on_study(self) -> str:
        """What came of the study, and where to read it."""
        try:
            said = f"**{read_json(self._files.whole.report_json)['findings']['answer']}**"
        except _DAMAGED:
            said = "No verdict yet: it comes with the report, at the end of the study."
        links = self._links()
        return f"{said}\n\n{links}\n" if links else f"{said}\n"

    def _links(self) -> str:
        whole = self._files.whole
        pages = {
            "[The report](/report)": whole.report_html,
            "[The model card](/model-card)": whole.model_card,
            "[Draw a digit](/draw)": whole.model / "model.json",
        }
        return " · ".join(link for link, path in pages.items() if path.is_file())

    def on_trial(self, part: str, trial: FrozenTrial) -> str:
        """Of a trial of the study's part; empty for one that is not as this program writes them."""
        lines = [*_as_far_as_known(self._of_run(trial) if part in WATCHED else _of_search(part, trial))]
        return "\n\n".join([*lines, *filter(None, [self._links()])]) + "\n" if lines else ""

    def _of_run(self, trial: FrozenTrial) -> Iterator[str]:
        attrs = trial.user_attrs
        run, source = str(attrs["run"]), attrs.get("trial") or attrs["origin"]  # as older studies call it
        kind = "A final run of finalist" if attrs["run"].rpartition("-")[0].endswith("-final") else "A candidate: trial"
        about = f"{kind} {source}, trained again under the fresh seed {attrs['seed']}. {_outcome(trial)}"
        yield from (f"# {run}", about)
        if run in self._test_accuracies():
            yield f"On the test images: {percent(self._test_accuracies()[run])} are read correctly."
        if not trial.state.is_finished():
            return
        yield from _of_folder(read_run(self._files.run(run)))

    def _test_accuracies(self) -> Mapping[str, float]:
        """By run, once the test split was opened."""
        written = self._files.predictions.stat().st_mtime if self._files.predictions.is_file() else 0.0
        if written != self._tests[0]:
            labels, logits = read_logits(self._files.predictions)
            self._tests = written, {run: float(accuracy(found, labels)) for run, found in logits.items()}
        return self._tests[1]


def _as_far_as_known(lines: Iterator[str]) -> Iterator[str]:
    """The lines before the first one that cannot be said: a file is gone, or an attribute is not ours."""
    with contextlib.suppress(*_DAMAGED):
        yield from lines


def _outcome(trial: FrozenTrial) -> str:
    attrs = trial.user_attrs
    if not trial.state.is_finished():
        return "It is training."
    if "reason" in attrs:
        return f"It failed: {attrs['reason']}."
    # The oldest studies have the training loss as the value of every run.
    parts = [
        str(attrs[key]) for key in ("learns_from", "data_part") if key in attrs
    ]  # of today's studies, of older ones
    if not parts or "validation" not in parts[0]:
        return f"It ended well: {percent(attrs.get('validation_accuracy', trial.value))} on validation."
    loss = attrs.get("training_loss", trial.value)
    return f"It ended well, with a training loss of {loss:.4g}; it had seen the validation images."


def _of_folder(run: Run) -> Iterator[str]:
    metrics = run.metrics
    if metrics is not None:
        yield (
            f"It saw {run.record.examples:,} examples in {duration(metrics.training_seconds)} of training, and has "
            f"{compact(metrics.n_parameters)} parameters. {_LOOK[run.record.role]}"
        )
    yield from _in_words(run.config)


def _of_search(family: str, trial: FrozenTrial) -> Iterator[str]:
    title = f"# {family} #{trial.number}"
    if not trial.state.is_finished():
        yield from (title, "It is training.", *_in_words(trial.user_attrs["config"]))
        return
    record = _record(family, trial)
    yield title
    yield f"{capital(_ROLES[record.role])}; {_ending(record)}{_reached(record)}."
    size = "" if record.n_parameters is None else f", and its network has {compact(record.n_parameters)} parameters"
    yield f"A worker had it for {duration(record.held_seconds)}{size}."
    yield from _in_words(record.config)
    yield from _as_file(record.config)


def _record(family: str, trial: FrozenTrial) -> TrialRecord:
    """Without the parameters, which a configuration says better and which take a millisecond to read."""
    known = {"number": trial.number, "family": family, "parameters": {}, "distributions": {}}
    return parse_trial({**trial.user_attrs, **known, "state": trial.state.name})


def _ending(record: TrialRecord) -> str:
    reason = f": {record.reason}" if record.ending in ("failed", "interrupted") and record.reason else ""
    return f"{_ENDINGS[record.ending]}{reason}"


def _reached(record: TrialRecord) -> str:
    if not record.rungs:
        return ""
    return f", with {percent(record.last.accuracy)} on validation after {record.examples:,} examples"


def _in_words(config: Mapping[str, Any]) -> Iterator[str]:
    words = [f"{key.replace('_', ' ')} {setting(value)}" for key, value in config.items() if key != "family"]
    if words:
        yield f"Its configuration: {', '.join(words)}."


def _as_file(config: Mapping[str, Any]) -> Iterator[str]:
    """To be copied; a run has it among its artifacts."""
    if config:
        yield f"```toml\n{tomli_w.dumps(dict(config))}```"
