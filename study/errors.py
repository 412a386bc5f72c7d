"""What can go wrong, as one tree.

StudyError                  exit status 1; the message is one line: file, value seen, value expected, what to do
├── UsageError              exit status 2: a flag or argument that cannot mean anything
├── SpaceError              a search-space file
├── DataError               a data set's files
├── ResultsError            the results folder or a file of a study in it
│   ├── LockedError         another command holds the study
│   ├── StorageAwayError    the database's server does not answer
│   └── ResumeError         the study cannot continue under these settings
├── ConfigError             a configuration from which no model or optimizer can be built
├── FamilyStoppedError      a family's search gave up; the other families went on
├── TrainingError           a run that cannot go on: a non-finite loss, no memory
├── ModelFileError          a model folder that cannot be trusted or used
├── ImageError              a picture that cannot be read
└── OutputError             results cannot be written to standard output
    └── ReaderLeftError     nobody reads it any more: nothing is said

Interrupted                 SIGHUP, SIGINT, SIGTERM or a batch system's notice; exit status 128 + signal number
"""

import re
import signal

_ADVICE = re.compile(r".*(?:; |: (?=expected ))(.+)", re.DOTALL)


class StudyError(Exception):
    """Root of the errors that a user can cause and mend; its text is one line."""

    exit_status = 1

    @property
    def hint(self) -> str | None:
        """What to do or what was expected, where the text says that in the end: behind a semicolon, or as `: expected`.
        For machines, which get the whole text, too."""
        advice = _ADVICE.fullmatch(str(self))
        return advice[1] if advice else None


class UsageError(StudyError):
    exit_status = 2


class SpaceError(StudyError):
    pass


class DataError(StudyError):
    pass


class ResultsError(StudyError):
    pass


class LockedError(ResultsError):
    pass


class StorageAwayError(ResultsError):
    pass


class ResumeError(ResultsError):
    pass


class ConfigError(StudyError):
    pass


class FamilyStoppedError(StudyError):
    pass


class TrainingError(StudyError):
    pass


class ModelFileError(StudyError):
    pass


class ImageError(StudyError):
    pass


class OutputError(StudyError):
    pass


class ReaderLeftError(OutputError):
    pass


class Interrupted(BaseException):
    """A signal asked the command to end; what was finished stays, what was in flight is tried again.

    No Exception, as KeyboardInterrupt is none: a library that tries what it may do without, such as torch while it is
    imported, would swallow it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_status = 128 + signum
