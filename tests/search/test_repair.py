"""A database built again from trials.jsonl is what the old one was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, Settings, Stop, interrupting, outcomes

from study.command.mending import repair
from study.errors import LockedError, ResultsError
from study.records.locking import StudyLock
from study.records.paths import StudyFiles
from study.records.settings import save_settings
from study.records.trial import TrialRecord
from study.search.agreement import record_of
from study.search.turns import Limits


@pytest.fixture
def bench(files: StudyFiles, make_settings: Settings) -> Iterator[Bench]:
    """A study with trials of every kind: complete, pruned, interrupted."""
    bench = Bench(files, make_settings(sampler="qmc"))
    save_settings(bench.settings, files.settings)
    with pytest.raises(Stop):
        bench.search(Limits(n_trials=6), observe=interrupting(9))
    bench.search(Limits(n_trials=6))
    yield bench
    bench.close()


def damage(bench: Bench) -> None:
    storage = bench.storage()
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_values SET value = 0.999")
    storage.engine.dispose()


def contents(bench: Bench) -> list[tuple[TrialRecord, float | None, dict[int, float]]]:
    """Records and values as the database has them."""
    return [
        (record, trial.value, trial.intermediate_values if record.counted else {})
        for family in bench.settings.families
        for trial in bench.trials(family)
        for record in [record_of(trial, family)]
    ]


def test_the_rebuilt_database_holds_the_same_trials_and_the_search_goes_on(bench: Bench) -> None:
    before = contents(bench)
    damage(bench)
    said = repair(bench.files, None)
    assert "study.db.1" in said
    assert contents(bench) == before
    bench.search(Limits(n_trials=9))
    assert Counter(record.family for record in bench.counted) == {"mlp": 9, "cnn": 9}
    bench.check()


def test_a_quasi_random_sequence_goes_on_where_it_was(bench: Bench, tmp_path: Path, make_settings: Settings) -> None:
    whole = Bench(StudyFiles(tmp_path / "whole"), make_settings(sampler="qmc"))
    whole.files.root.mkdir()
    whole.search(Limits(n_trials=9))
    whole.close()
    damage(bench)
    repair(bench.files, None)
    bench.search(Limits(n_trials=9))
    assert outcomes(bench) == outcomes(whole)


def test_a_database_that_is_gone_is_built_anew_and_lost_trials_keep_their_numbers(bench: Bench) -> None:
    lines = bench.files.trials_jsonl.read_bytes().splitlines(keepends=True)
    lost = next(record for record in bench.records if not record.counted)
    del lines[bench.records.index(lost)]
    bench.files.trials_jsonl.write_bytes(b"".join(lines))
    bench.files.database.unlink()
    assert "there was none" in repair(bench.files, None)
    assert bench.trials(lost.family)[lost.number].user_attrs["reason"].startswith("lost with the database")
    bench.search(Limits(n_trials=7))
    assert Counter(record.family for record in bench.counted) == {"mlp": 7, "cnn": 7}
    bench.check()


def test_every_old_database_is_kept_with_its_journal(bench: Bench) -> None:
    for number in (1, 2):
        damage(bench)
        journal = bench.files.root / "study.db-journal"
        journal.write_bytes(b"hot")
        old = bench.files.database.read_bytes()
        repair(bench.files, None)
        assert (bench.files.root / f"study.db.{number}").read_bytes() == old
        assert not journal.exists()
    assert not list(bench.files.root.glob("*.part*"))


def test_a_sound_database_is_left_alone(bench: Bench) -> None:
    before = bench.files.database.read_bytes()
    assert repair(bench.files, None).startswith("nothing to repair")
    assert bench.files.database.read_bytes() == before


def test_it_refuses_while_a_command_drives_the_study(bench: Bench) -> None:
    damage(bench)
    before = bench.files.database.read_bytes()
    with StudyLock(bench.files), pytest.raises(LockedError, match="in use by process"):
        repair(bench.files, None)
    assert bench.files.database.read_bytes() == before


def test_it_refuses_a_database_on_a_server(bench: Bench) -> None:
    with pytest.raises(
        ResultsError, match=r"postgresql://u:\*\*\*@h/db is not .*study\.db, the one that can be rebuilt"
    ):
        repair(bench.files, "postgresql://u:secret@h/db")


def test_it_refuses_records_that_are_damaged_themselves(bench: Bench) -> None:
    damage(bench)
    bench.files.trials_jsonl.write_bytes(
        bench.files.trials_jsonl.read_bytes().replace(b'"attempt": 1', b'"attempt": 2', 1)
    )
    with pytest.raises(ResultsError, match="line 1 is damaged"):
        repair(bench.files, None)
