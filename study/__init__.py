"""Digit Study: a fair hyperparameter search and architecture comparison for handwritten digits."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.inference.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import study` alone must not cost the import of torch.
    if name in {"Predictor", "Prediction"}:
        return getattr(import_module("study.inference.predictor"), name)
    raise AttributeError(f"module 'study' has no attribute {name!r}")
