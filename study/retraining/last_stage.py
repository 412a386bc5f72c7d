"""The last stage of a run that may be shipped: for some steps more it learns from digits as other pens and hands would
leave them, held to what it made of the others, so that it reads them no worse."""

from __future__ import annotations

from study.execution.jobs import Job, Start
from study.records.paths import StudyFiles
from study.records.run import last_stage_run, read_run
from study.records.settings import StudySettings
from study.retraining.runs import Engine, plan_run
from study.seeds import derive_seed

# Found on validation images, see "Corrupted digits" in benchmarks/README.md.
_RATE = 0.4  # times the run's own learning rate
_STRENGTH = 0.6  # of the augmentation
_TOWARD = 1.0  # weight of the squared distance from the logits before


def plan_last_stage(files: StudyFiles, settings: StudySettings, engine: Engine, run: str, examples: int) -> Job | None:
    """The job that trains a finished run of the study for about so many examples more, on the part of the training file
    that it knows, into a folder of its own; None if that very one is done. ResultsError if the run is damaged."""
    read, weights = read_run(files.run(run)), files.run(run).weights.read_bytes()
    config = {
        **read.config,
        "learning_rate": _RATE * float(read.config["learning_rate"]),
        "images": "hard",
        "augmentation": "hands",
        "augmentation_strength": _STRENGTH,
    }
    return plan_run(
        files.run(last_stage_run(run)),
        settings,
        engine,
        config,
        examples,
        family=read.record.family,
        trial=read.record.trial,
        role="last stage",
        seed=derive_seed(read.record.seed, read.record.family, read.record.seed_index, "last stage"),
        seed_index=read.record.seed_index,
        part=read.record.data_part,
        start=Start(weights, _TOWARD),
    )
