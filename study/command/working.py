"""A study at work, whoever asked for it: a shell or a notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from study.execution.processes import start_server

if TYPE_CHECKING:
    from study.command.progress import Reporter
    from study.stages.all import Stages
    from study.stages.request import Request


@contextlib.contextmanager
def at_work(request: Request, make_reporter: Callable[[], Reporter], *, workers: bool = True) -> Iterator[Stages]:
    """The stages of the study that is asked for, created or continued, with its lock held within the block; its notes
    are said before. `workers` tells whether anything is trained."""
    from study.stages.cluster import joining_cluster

    with joining_cluster(request) if workers else contextlib.nullcontext() as join:
        if workers and request.cluster is None:
            start_server()  # it loads torch for the workers while the next lines load it here
        from study.stages.all import open_stages
        from study.stages.neighbours import crowding
        from study.stages.session import open_session

        reporter = make_reporter()
        cluster = join(reporter.say) if join is not None else None
        with open_session(request, cluster) as session:
            for warning in session.warnings:
                reporter.say(f"note: {warning}")
            try:
                with open_stages(session, reporter) as stages:
                    if workers and cluster is None and (crowd := crowding(session.files, session.n_workers)):
                        reporter.say(f"note: {crowd}")
                    reporter.say(f"families: {', '.join(session.families)}")
                    yield stages
            finally:
                reporter.end()
                session.ledger.save()


def run_stages(stages: Stages, *, evaluate: bool) -> None:
    """All stages, or word that they are complete. The test split stays sealed unless `evaluate`, and where there is
    none."""
    session, say = stages.session, stages.progress.say
    if (settled := stages.settle_for_what_helps()) is not None:
        say(f"note: {settled}")
    evaluate = evaluate and not session.settings.dataset.lacks_test
    if stages.is_complete(evaluate=evaluate):
        session.ledger.charge_nothing()
        say("this study is complete; a larger --budget or --n-trials, or one more of --families, continues it")
        return
    warnings = (stages.no_verdict(), stages.sees_little(), stages.may_open_again())
    for warning in filter(None, warnings if evaluate else ()):
        say(f"note: {warning}")
    stages.run_all(evaluate=evaluate)
