"""A disk that is full, and a folder that cannot be written."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Bench, outcomes, work
from desk import forms

from study.errors import ResultsError, StudyError
from study.execution.executors import InProcessExecutor
from study.records.paths import prepare_results_folder
from study.records.trial import Form, TrialRecord
from study.search.turns import Limits

_BLOCK = 4096


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Within this block the system writes no file beyond `size` bytes, as on a disk whose blocks are used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("steps", forms(8, 10**6))
def test_a_disk_full_at_any_block_loses_nothing(new_bench: Callable[..., Bench], steps: int) -> None:
    whole = new_bench("whole")
    whole.search(Limits(n_trials=3))
    blocks = whole.files.database.stat().st_size // _BLOCK
    for block in range(0, blocks, max(1, blocks // steps)):
        bench = new_bench(block)
        shown: list[TrialRecord | None] = []
        with (
            pytest.raises((StudyError, OSError)),
            files_no_larger_than(block * _BLOCK),
            InProcessExecutor(1, work) as executor,
        ):
            bench.open().run(executor, Limits(n_trials=3), lambda _, record, shown=shown: shown.append(record))
        bench.close()
        bench.search(Limits(n_trials=3))
        assert [record for record in shown if record and record not in bench.records] == [], block
        assert outcomes(bench) == outcomes(whole), block
        bench.check()
        assert not list(bench.files.root.glob("*.part")), block


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_record_that_does_not_fit_is_written_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    """trials.jsonl alone is cut: the database knows the trial, and the next command adds its line."""
    from study.search import driver

    append = driver.append_trials

    def append_on_a_full_disk(path: Path, records: list[TrialRecord], form: Form) -> None:
        with files_no_larger_than(blocks * _BLOCK + 100):
            append(path, records, form)

    with monkeypatch.context() as patch:
        patch.setattr(driver, "append_trials", append_on_a_full_disk)
        with pytest.raises(OSError, match="File too large"):
            bench.search(Limits(n_trials=6))
    bench.search(Limits(n_trials=6))
    bench.check()
    assert len(bench.counted) == 12


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc, which not even root can write to")
def test_a_folder_that_not_even_root_may_write_is_refused_before_any_work() -> None:
    with pytest.raises(ResultsError, match=r"results folder /proc/study cannot be written .*choose another"):
        prepare_results_folder(Path("/proc/study"))
