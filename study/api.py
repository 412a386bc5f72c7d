"""A study's trials, runs, leaderboard and test predictions as DataFrames, and a way to run one, for a notebook or a
script of one's own.

    from study import Study

    mnist = Study.open("results/mnist")
    mnist.trials.groupby("family")["value"].max()

They are made from the files of the study, of whatever version; only `Study.run` writes. A study in progress shows what
has been recorded so far; open it again to see more. Accuracies are shares in [0, 1], whole numbers that may be missing
have pandas' Int64, times are in UTC. A configuration's keys are columns that begin with `config_`, of the type that
pandas finds for them; a key that a configuration does not have is missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from study.errors import ResultsError, UsageError
from study.records.paths import StudyFiles
from study.records.run import Run
from study.report.reading import StudyRecords, known_form, read_study
from study.report.sections import leaderboard
from study.stages.request import Request
from study.statistics.scores import log_softmax

if TYPE_CHECKING:
    import optuna
    from numpy.typing import ArrayLike

    from study.records.settings import PrunerName, SamplerName

_WHOLE, _REAL, _TEXT, _TRUTH, _TIME = "Int64", "float64", "str", "bool", "datetime64[us, UTC]"
_TRIALS = {
    "search": _WHOLE,
    "family": _TEXT,
    "number": _WHOLE,
    "role": _TEXT,
    "origin": _TEXT,
    "state": _TEXT,
    "ending": _TEXT,
    "value": _REAL,
    "nll_scaled": _REAL,
    "examples": _WHOLE,
    "held_seconds": _REAL,
    "training_seconds": _REAL,
    "n_parameters": _WHOLE,
    "flops": _WHOLE,
    "worker": _WHOLE,
    "node": _TEXT,
    "seed": _WHOLE,
    "attempt": _WHOLE,
    "further_seed_of": _WHOLE,
    "counted": _TRUTH,
    "reason": _TEXT,
    "start": _TIME,
    "end": _TIME,
}
_ABOUT_A_RUN = {
    "family": _TEXT,
    "trial": _WHOLE,
    "role": _TEXT,
    "seed": _WHOLE,
    "seed_index": _WHOLE,
    "data_part": _TEXT,
    "examples": _WHOLE,
    "steps": _WHOLE,
    "device": _TEXT,
    "precision": _TEXT,
    "node": _TEXT,
}
_OF_A_RUN = {
    "accuracy": _REAL,
    "nll": _REAL,
    "nll_scaled": _REAL,
    "temperature": _REAL,
    "train_loss": _REAL,
    "training_seconds": _REAL,
    "seconds": _REAL,
    "n_parameters": _WHOLE,
    "flops": _WHOLE,
}
_LEADERBOARD = {
    "kind": _TEXT,
    "family": _TEXT,
    "trial": _WHOLE,
    "title": _TEXT,
    "validation_accuracy": _REAL,
    "validation_seeds": _WHOLE,
    "test_accuracy": _REAL,
    "test_low": _REAL,
    "test_high": _REAL,
    "test_seeds": _WHOLE,
    "precision": _REAL,
    "recall": _REAL,
    "f1": _REAL,
    "nll": _REAL,
    "n_parameters": _WHOLE,
    "flops": _WHOLE,
    "training_seconds": _REAL,
    "latency_p50_ms": _REAL,
}
_PREDICTIONS = {
    "run": _TEXT,
    "family": _TEXT,
    "seed_index": _WHOLE,
    "image": _WHOLE,
    "label": _WHOLE,
    "predicted": _WHOLE,
    "probability": _REAL,
}


class Study:
    """The records of one study, read when it is opened. A search beside the first (`--repeats`) is told by `search`."""

    def __init__(self, records: StudyRecords) -> None:
        self._records = records

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """The study in a folder, `results/mnist`. ResultsError if none is there, or a file of it is damaged."""
        files = StudyFiles(Path(folder))
        with known_form(files.root):
            return cls(read_study(files))

    @classmethod
    def run(
        cls,
        images: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        test_images: ArrayLike | None = None,
        test_labels: ArrayLike | None = None,
        *,
        name: str | None = None,
        results: str | Path = "results",
        dataset: str | None = None,
        data_dir: str | Path | None = None,
        budget: float | str | None = None,
        n_trials: int | None = None,
        families: Sequence[str] | None = None,
        spaces: Sequence[str | Path] = (),
        single_family: bool = False,
        given: Sequence[str | Path] = (),
        imported_from: str | None = None,
        repeats: int | None = None,
        seed: int | None = None,
        split_seed: int | None = None,
        sampler: SamplerName | None = None,
        pruner: PrunerName | None = None,
        warm_start: bool = True,
        workers: int | None = None,
        device: str = "auto",
        cluster: str | None = None,
        storage: str | None = None,
        evaluate: bool = True,
        quiet: bool = False,
    ) -> Study:
        """Do what `study run` does, and open the study; the same call again continues it, or finds it complete.

        `images` are [N, H, W] or [N, H, W, 3], uint8 or numbers from 0 to 1 or to 255, `labels` whole numbers [N]; they
        are kept in the study's folder. Without a test part the test split stays sealed, as with `evaluate=False`. With
        no images the data set is `dataset` or the files in `data_dir`, as for the command. `budget` is in seconds or a
        text such as "5m"; the other arguments are the command's flags. In a notebook one table shows the progress,
        elsewhere a bar or lines on standard error do. Raises what is wrong as StudyError, as the command says it.
        """
        from study.command import called
        from study.command.durations import parse_duration

        arrays = called.arrays_of(images, labels, test_images, test_labels)
        if arrays and (dataset, data_dir) != (None, None):
            raise UsageError("Study.run: seen images beside dataset or data_dir, expected one of them")
        for argument, value in (("families", families), ("spaces", spaces), ("given", given)):
            if isinstance(value, str):
                raise UsageError(f"Study.run: {argument}: seen the text {value!r}, expected a list of them")
        asked = Request(
            command="Study.run",
            started=time.monotonic(),
            name=called.OWN if arrays and name is None else name,
            results=Path(results),
            dataset=dataset,
            data_dir=None if data_dir is None else Path(data_dir),
            spaces=tuple(map(Path, spaces)),
            families=None if families is None else tuple(dict.fromkeys(families)),
            single_family=single_family,
            budget=parse_duration(budget) if isinstance(budget, str) else budget,
            n_trials=n_trials,
            seed=seed,
            split_seed=split_seed,
            sampler=sampler,
            pruner=pruner,
            warm_start=warm_start,
            given=tuple(map(Path, given)),
            imported_from=imported_from,
            workers=workers,
            device=device,
            cluster=cluster,
            storage=storage,
            repeats=repeats,
            opens_test=evaluate,
            goes_without_test=True,
        )
        return cls.open(called.run(asked, arrays, quiet=quiet).root)

    def __repr__(self) -> str:
        return f"Study.open({str(self._records.files.root)!r})"

    @property
    def name(self) -> str:
        return self._records.settings.name

    @property
    def families(self) -> list[str]:
        return self._records.families

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial that ended, in the order in which they did.

        `search`, `family` and `number` name it. `origin` is found, if the search drew it, or given; `role` says where
        it is from: sampled, warm_start, given_file, imported or proposed. `state` is Optuna's; `ending` says why it
        ended: complete, pruned, budget, failed, interrupted or withdrawn, and `reason` says it in words.
        `value` is validation accuracy after `examples` training images, `nll_scaled` its negative log-
        likelihood there in nats, at the temperature that fits best. A worker on `node` held it for
        `held_seconds`, of which it trained for `training_seconds`.
        `flops` are of one image. `counted` is False for a trial that was interrupted and tried again as another
        `attempt`; `further_seed_of` is the first trial with the same configuration.
        """
        rows = (
            {name: getattr(trial, name) for name in _TRIALS if name != "search"}
            | {"search": number}
            | _configuration(trial.config)
            for number, one in self._records.searches.items()
            for trial in one.records
        )
        return _frame(rows, _TRIALS)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per finished training of a candidate or finalist, by search and name (`run`).

        `role` is candidate, final or last stage, `seed_index` which of its seeds, `data_part` what it was trained on.
        `accuracy` and `nll` are of the validation split, missing for a run that was trained on it, too; `nll_scaled` is
        at `temperature`. `train_loss` is the last stretch's, in nats; `training_seconds` are of the training loop,
        `seconds` of all; `examples` and `steps` were trained.
        """
        rows = (
            {"search": number, "run": name, **_columns_of(run)}
            for number, one in self._records.searches.items()
            for name, run in one.runs.items()
        )
        return _frame(rows, {"search": _WHOLE, "run": _TEXT, **_ABOUT_A_RUN, **_OF_A_RUN})

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """One row per finalist, baseline and ensemble (`kind`), as the report orders them.

        `validation_accuracy` is the mean over its candidate's `validation_seeds`. `test_accuracy` is the mean over
        `test_seeds` final runs, `test_low` to `test_high` its 95 % interval; `precision`, `recall` and `f1` are macro
        means, `nll` is in nats. All of them are missing until the test split was opened. `latency_p50_ms` is the median
        time for one image, the model alone.
        """
        rows = leaderboard.of_study(self._records).rows
        return _frame((_leaderboard_row(row.to_dict()) for row in rows), _LEADERBOARD)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per final run and test image, empty until the test split was opened: `image` is its place in the test
        file, `label` its class, `predicted` the run's answer and `probability` what it gave it, no temperature applied.
        """
        labels = self._records.test_labels
        parts = [
            _answers(self._records.runs[name], logits, labels)
            for name, logits in self._records.test_logits.items()
            if labels is not None and name in self._records.runs
        ]
        return pd.concat(parts, ignore_index=True) if parts else _frame((), _PREDICTIONS)

    def optuna_study(self, family: str) -> optuna.Study:
        """A family's trials in the first search as an Optuna study in memory, for Optuna's own figures and importances:
        nothing that is done to it reaches the files. Trials that have not ended are left as failed ones, so that
        numbers are the same.
        """
        from study.search.repair import study_in_memory

        if family not in self.families:
            raise ResultsError(f"{self.name} has no family {family!r}; it has {', '.join(self.families)}")
        return study_in_memory(self._records.settings, family, self._records.records)


def _frame(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """The rows under these columns with these types, further ones behind them by name."""
    held = list(rows)
    further = sorted({name for row in held for name in row} - columns.keys())
    typed = {name: pd.Series([row.get(name) for row in held], dtype=dtype) for name, dtype in columns.items()}
    return pd.DataFrame(typed | {name: pd.Series([row.get(name) for row in held]) for name in further})


def _configuration(config: Mapping[str, Any]) -> dict[str, Any]:
    return {f"config_{key}": value for key, value in config.items() if key != "family"}


def _columns_of(run: Run) -> dict[str, Any]:
    about = {name: getattr(run.record, name) for name in _ABOUT_A_RUN}
    return about | {name: getattr(run.metrics, name, None) for name in _OF_A_RUN} | _configuration(run.config)


def _leaderboard_row(row: Mapping[str, Any]) -> dict[str, Any]:
    test = row["test"] or {}
    accuracy = test.get("accuracy", {})
    low, high = accuracy.get("interval95") or row.get("interval95") or (None, None)
    return {
        **{name: row.get(name) for name in _LEADERBOARD if name in row},
        "title": row.get("title") or row.get("name"),
        "validation_accuracy": row.get("validation_mean"),
        "test_accuracy": accuracy.get("mean", row.get("accuracy")),
        "test_low": low,
        "test_high": high,
        "test_seeds": accuracy.get("seeds"),
        "precision": test.get("macro_precision"),
        "recall": test.get("macro_recall"),
        "f1": test.get("macro_f1", {}).get("estimate"),
        "nll": test.get("nll"),
    }


def _answers(run: Run, logits: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> pd.DataFrame:
    """`logits` [N, C] of one run, `labels` [N]."""
    predicted = logits.argmax(axis=1)
    probability = np.exp(log_softmax(logits)).max(axis=1)
    columns = {"image": np.arange(len(labels)), "label": labels, "predicted": predicted, "probability": probability}
    about = {"run": run.name, "family": run.record.family, "seed_index": run.record.seed_index}
    return pd.DataFrame({**about, **columns}).astype(_PREDICTIONS)[list(_PREDICTIONS)]
