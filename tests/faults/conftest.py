"""Faults on purpose: small studies to break, and how they are driven."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Bench, Settings

from study.records.paths import StudyFiles

sys.path.insert(0, str(Path(__file__).parent))

from desk import Desk


@pytest.fixture(autouse=True)
def _fast(fast_disk: None) -> None:
    """Processes are killed here, and no power fails."""


@pytest.fixture
def bench(files: StudyFiles, make_settings: Settings) -> Iterator[Bench]:
    bench = Bench(files, make_settings())
    yield bench
    bench.close()


@pytest.fixture
def new_bench(tmp_path: Path, make_settings: Settings) -> Iterator[Callable[[object], Bench]]:
    """Another study, in a folder of its own, at each call."""
    benches: list[Bench] = []

    def make(name: object, **fields: object) -> Bench:
        files = StudyFiles(tmp_path / str(name) / "tiny")
        files.root.mkdir(parents=True)
        benches.append(Bench(files, make_settings(**fields)))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def desk(tmp_path: Path, tiny_spaces: dict[str, Path], write_idx: Callable[[Path], Path]) -> Desk:
    flags = ["--results", tmp_path / "results", "--data-dir", write_idx(tmp_path / "digits"), "--workers", "2"]
    for path in tiny_spaces.values():
        flags += ["--space", path]
    return Desk(tmp_path / "results", tuple(map(str, flags)))
