"""A network of the tiny digits that trains in a moment."""

CONFIG = {
    "family": "mlp",
    "depth": 1,
    "width": [8],
    "activation": "relu",
    "normalisation": "none",
    "dropout": 0.0,
    "optimizer": "adamw",
    "learning_rate": 0.02,
    "batch_size": 50,
    "augmentation": "none",
}
