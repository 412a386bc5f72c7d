"""Digit Study: a fair hyperparameter search and architecture comparison for handwritten digits."""

TYPE_CHECKING = False  # as type checkers know it: `python -m study` begins where a user may have a `typing.py`
if TYPE_CHECKING:
    from typing import Any

    from study.inference.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    # Loaded on first use: `import study` alone must not cost the import of torch.
    if name in {"Predictor", "Prediction"}:
        return getattr(import_module("study.inference.predictor"), name)
    raise AttributeError(f"module 'study' has no attribute {name!r}")
