"""How far a family's numbers can go at all, whatever a search space asks for: advice must not send a search beyond.

The bounds are those of the configurations in `study.models` and `study.training`, which load torch and are therefore
not asked here; a test holds the two together.
"""

from __future__ import annotations

Bounds = dict[str, tuple[float | None, float | None]]  # least and most, None where there is no end

TRAINING: Bounds = {
    "momentum": (0, 1),
    "weight_decay": (0, None),
    "warmup": (0, 0.5),
    "batch_size": (1, None),
    "label_smoothing": (0, 1),
    "learning_rate": (0, None),
    "augmentation_strength": (0, 1),
}
FAMILIES: dict[str, Bounds] = {
    "mlp": {"depth": (1, 5), "dropout": (0, 0.7)},
    "cnn": {
        "stages": (2, 4),
        "convs_per_stage": (1, 4),
        "width": (4, 256),
        "growth": (0.5, 4),
        "head_width": (1, 4096),
        "dropout": (0, 0.7),
    },
    "mixer": {"depth": (1, 12), "width": (4, 1024), "expansion": (0.25, 8), "dropout": (0, 0.7)},
}
# What else does what the number at its end was wanted for.
INSTEAD = {
    "depth": "give width more room",
    "stages": "give width, growth or convs_per_stage more room, since 28 x 28 pixels cannot be halved more often",
    "convs_per_stage": "give width or growth more room",
    "width": "give depth or another family room",
    "growth": "give width more room",
    "expansion": "give width or depth more room",
    "head_width": "give the stages before it more room",
    "dropout": "try more weight_decay, label_smoothing or augmentation",
    "label_smoothing": "try more dropout, weight_decay or augmentation",
    "augmentation_strength": "try another augmentation, or more dropout",
    "warmup": "give learning_rate more room",
    "momentum": "give learning_rate more room",
}


def key_of(parameter: str) -> str:
    """The configuration's key of an Optuna name: without a branch in brackets and a place in a list."""
    return parameter.partition("[")[0].partition(".")[0]


def end_of(family: str, parameter: str, end: str) -> float | None:
    """The least ("low") or most ("high") that a parameter can be; None where it has no end."""
    low, high = (TRAINING | FAMILIES.get(family, {})).get(key_of(parameter), (None, None))
    return low if end == "low" else high


def instead(parameter: str) -> str:
    return INSTEAD.get(key_of(parameter), "try another space or family")
