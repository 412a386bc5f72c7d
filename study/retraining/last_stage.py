"""The last stage of a run that may be shipped: its configuration is trained anew, for longer, and three in ten of its
images are as other pens and hands would leave them."""

from __future__ import annotations

from study.execution.jobs import Job
from study.records.paths import StudyFiles
from study.records.run import last_stage_run, read_run
from study.records.settings import StudySettings
from study.retraining.runs import Engine, plan_run
from study.seeds import derive_seed

_STRENGTH = 0.6  # of the augmentation, found on validation images: benchmarks/README.md, "Corrupted digits"


def plan_last_stage(files: StudyFiles, settings: StudySettings, engine: Engine, run: str, examples: int) -> Job | None:
    """The job that trains the configuration of a finished run of the study for about so many examples, on the part of
    the training file that the run knows, into a folder of its own; None if that very one is done. ResultsError if the
    run is damaged."""
    read = read_run(files.run(run))
    config = {**read.config, "augmentation": "hands", "augmentation_strength": _STRENGTH}
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
    )
