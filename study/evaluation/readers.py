"""Who reads corrupted test images: the finalists' named runs and, after a last stage, the shipped network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from study.errors import ResultsError
from study.evaluation.temperature import carried_temperature, pooled_temperature
from study.evaluation.test_set import load_run, named_runs
from study.records.examined import shipped_reader
from study.records.finalists import read_finalists
from study.records.last_stage import read_last_stage, shipped_by
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles
from study.records.run import Run
from study.records.seal import file_sha256, read_openings, weights_of


@dataclass(frozen=True)
class Reader:
    """A finalist's run, as the seal names it, and the temperature that its probabilities carry over from
    validation."""

    model: nn.Module
    run: Run
    name: str
    temperature: float


def readers_of(files: StudyFiles, device: str) -> dict[str, Reader]:
    """By family, and the shipped network by a name of its own where it has a last stage and was sealed with it."""
    readers = {}
    for family, name in sorted(named_runs(files).items()):
        model, run = load_run(files.run(name), device)
        readers[family] = Reader(model, run, name, _temperature(files, family))
    stage = read_last_stage(files.last_stage)
    if stage is None or not stage.ships:
        return readers
    searches = [files, *read_ledger(files.ledger).further_searches(files)]
    ships = shipped_by(searches, [read_finalists(one.finalists) for one in searches])
    if ships.is_staged:
        source, prefix = searches[ships.choice.search], f"{searches[ships.choice.search].root.name}/"
        name = ships.run if source == files else prefix + ships.run
        if read_openings(files.seal)[-1].hashes.get(name) != file_sha256(source.run(ships.run).weights):
            return readers
        model, run = load_run(source.run(ships.run), device)
        readers[shipped_reader(ships.choice.family)] = Reader(model, run, name, pooled_temperature(source, ships.basis))
    return readers


def sealed_weights(files: StudyFiles, names: Sequence[str]) -> dict[str, str]:
    """sha256 by run. Those of a further search are named with its folder, as in the seal, which has them."""
    own = [name for name in names if "/" not in name]
    sealed = read_openings(files.seal)[-1].hashes
    return weights_of(files, own) | {name: sealed[name] for name in names if "/" in name}


def _temperature(files: StudyFiles, family: str) -> float:
    """1 where the study kept no validation logits: probabilities are then as trained, and the file says 1."""
    try:
        return carried_temperature(files, family)
    except ResultsError:
        return 1.0
