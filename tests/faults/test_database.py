"""A SQLite database that does not answer, or answers wrongly."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from bench import Bench, failing_statement, outcomes, work
from desk import forms
from optuna.trial import FrozenTrial

from study.command.mending import repair
from study.errors import ResultsError, StudyError
from study.execution.executors import InProcessExecutor
from study.records.paths import StudyFiles
from study.records.settings import save_settings
from study.records.trial import TrialRecord
from study.search.driver import Search
from study.search.turns import Limits

SEED = 20260101
NewBench = Callable[..., Bench]


@pytest.mark.parametrize("statements", forms(10, 200))
def test_a_statement_that_fails_once_loses_nothing(new_bench: NewBench, statements: int) -> None:
    whole = new_bench("whole")
    with failing_statement(0) as tried:
        search = whole.open()
        with InProcessExecutor(1, work) as executor:
            search.run(executor, Limits(n_trials=3), lambda *_: None)
    for at in range(1, len(tried), max(1, len(tried) // statements)):
        bench = new_bench(at)
        shown: list[TrialRecord | None] = []
        with (
            contextlib.suppress(StudyError),
            failing_statement(at),
            InProcessExecutor(1, work) as executor,
        ):
            bench.open().run(executor, Limits(n_trials=3), lambda _, record, shown=shown: shown.append(record))
        bench.search(Limits(n_trials=3))
        assert [record for record in shown if record and record not in bench.records] == [], at
        assert outcomes(bench) == outcomes(whole), at
        bench.check()


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def searched(bench: Bench) -> Bench:
    save_settings(bench.settings, bench.files.settings)
    bench.search(Limits(n_trials=8))
    return bench


def copy_of(bench: Bench, name: str) -> Bench:
    return Bench(StudyFiles(shutil.copytree(bench.files.root, bench.files.root.parent / name / "tiny")), bench.settings)


def values(trials: Iterable[FrozenTrial]) -> list[tuple[int, float | None, dict[int, float]]]:
    return [(trial.number, trial.value, trial.intermediate_values) for trial in trials]


def check_damaged(bench: Bench, whole: Bench, what: str) -> bool:
    """A damaged study is refused in one line, or its trials are the old ones; repaired it holds them. Returns whether
    it was refused."""
    refused = ""
    try:
        search = bench.open()
    except ResultsError as error:
        refused = str(error)
    else:
        records = [record for family in search.families.values() for record in family.records]
        assert sorted(map(str, records)) == sorted(map(str, whole.records)), what
        for name, family in search.families.items():
            assert values(family.study.get_trials()) == values(whole.trials(name)), what
    finally:
        bench.close()
    assert "\n" not in refused, what
    repair(bench.files, None)
    assert bench.records == whole.records, what
    bench.check()
    bench.close()
    return bool(refused)


@pytest.mark.parametrize("rounds", forms(8, 200))
def test_overwritten_bytes_never_change_a_number(searched: Bench, rounds: int) -> None:
    rng = random.Random(SEED)
    refused = 0
    for number in range(rounds):
        broken = copy_of(searched, f"smashed{number}")
        data = bytearray(broken.files.database.read_bytes())
        at = rng.randrange(len(data) - 64)
        data[at : at + 64] = rng.randbytes(64)
        broken.files.database.write_bytes(data)
        refused += check_damaged(broken, searched, f"seed {SEED}: round {number}, bytes {at} to {at + 63}")
        shutil.rmtree(broken.files.root)
    print(f"{refused} of {rounds} refused")


@pytest.mark.parametrize("rounds", forms(6, 200))
def test_a_truncated_database_is_refused_and_rebuilt(searched: Bench, rounds: int) -> None:
    size = searched.files.database.stat().st_size
    for number in range(rounds):
        broken = copy_of(searched, f"cut{number}")
        left = size * number // rounds
        with broken.files.database.open("r+b") as stream:
            stream.truncate(left)
        check_damaged(broken, searched, f"{left} of {size} bytes left")
        shutil.rmtree(broken.files.root)


def test_a_database_deleted_while_it_is_used_is_rebuilt(bench: Bench) -> None:
    save_settings(bench.settings, bench.files.settings)
    seen: list[TrialRecord] = []

    def delete(_: Search, record: TrialRecord | None) -> None:
        if record is not None:
            seen.append(record)
            if len(seen) == 3:
                bench.files.database.unlink()

    with contextlib.suppress(StudyError), InProcessExecutor(1, work) as executor:
        bench.open().run(executor, Limits(n_trials=4), delete)
    bench.close()
    assert [record for record in seen if record not in bench.records] == []
    with pytest.raises(ResultsError, match=r"not in the database.*--repair"):
        bench.open()
    repair(bench.files, None)
    bench.search(Limits(n_trials=6))
    assert Counter(record.family for record in bench.counted) == {"mlp": 6, "cnn": 6}
    assert [record for record in seen if record not in bench.records] == []
    bench.check()
