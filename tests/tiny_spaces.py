"""Search spaces whose every branch trains in a moment, by family, and one such configuration."""

from typing import Any

TINY_SPACES = {
    "mlp": """\
family = "mlp"
depth = { low = 1, high = 2 }
width = { repeat = "depth", low = 8, high = 32, log = true }
activation = { choices = ["relu", "tanh"] }
normalisation = "none"
dropout = 0.0
optimizer = { choices = ["sgd", "adamw"] }
batch_size = { choices = [32, 64] }
augmentation = "none"

[[parameter]]
name = "learning_rate"
when = { optimizer = "sgd" }
low = 1e-2
high = 1.0
log = true

[[parameter]]
name = "learning_rate"
when = { optimizer = "adamw" }
low = 1e-3
high = 1e-1
log = true

[[warm_start]]
depth = 1
width = [24]
optimizer = "adamw"
learning_rate = 1e-2

[[warm_start]]
depth = 2
width = [24, 16]
optimizer = "adamw"
learning_rate = 5e-3
""",
    "cnn": """\
family = "cnn"
stages = 2
convs_per_stage = 1
width = { low = 4, high = 8 }
growth = 1.0
kernel_size = 3
activation = "relu"
normalisation = "none"
pooling = "max"
residual = false
head = "global"
dropout = 0.0
optimizer = "adamw"
learning_rate = { low = 1e-3, high = 5e-2, log = true }
batch_size = 32
augmentation = "none"

[[warm_start]]
width = 8
learning_rate = 1e-2

[[warm_start]]
width = 4
learning_rate = 2e-2
""",
}

TINY_MLP: dict[str, Any] = {
    "family": "mlp",
    "depth": 1,
    "width": [16],
    "activation": "relu",
    "normalisation": "none",
    "dropout": 0.2,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "batch_size": 50,
    "augmentation": "shift",
}
