"""Small networks of each family, with everything in them that a training run keeps or draws."""

from typing import Any

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"family": "mlp", "depth": 1, "width": [32], "activation": "relu", "normalisation": "batch", "dropout": 0.3},
    "cnn": {
        "family": "cnn",
        "stages": 2,
        "convs_per_stage": 1,
        "width": 8,
        "growth": 2.0,
        "kernel_size": 3,
        "activation": "relu",
        "normalisation": "batch",
        "pooling": "max",
        "residual": False,
        "head": "global",
        "dropout": 0.2,
    },
}


def config(network: str, optimizer: str) -> dict[str, Any]:
    more = {"momentum": 0.9} if optimizer in ("sgd", "rmsprop") else {}
    training = {"optimizer": optimizer, "learning_rate": 0.01, "batch_size": 64, **more}
    return {**NETWORKS[network], **training, "augmentation": "elastic", "augmentation_strength": 0.5}
