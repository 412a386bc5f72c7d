"""Digit Study: a fair hyperparameter search and architecture comparison for handwritten digits."""

TYPE_CHECKING = False  # as type checkers know it: `python -m study` begins where a user may have a `typing.py`
if TYPE_CHECKING:
    from typing import Any

    from study.api import Study
    from study.inference.answer import Prediction
    from study.inference.predictor import Predictor

__all__ = ["Prediction", "Predictor", "Study", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    # Loaded on first use: `import study` alone must not cost the import of torch or pandas.
    places = {"Predictor": "study.inference.predictor", "Prediction": "study.inference.predictor", "Study": "study.api"}
    if name in places:
        return getattr(import_module(places[name]), name)
    raise AttributeError(f"module 'study' has no attribute {name!r}")
