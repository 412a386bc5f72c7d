"""Convolutional networks: stages of convolutions, each ending in a halving of the picture."""

from collections.abc import Callable
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from study.models.layers import ACTIVATIONS, IMAGE_SIZE, Activation
from study.records.settings import Configuration

GROUPS = 4
STEM_KERNEL = 5
MAX_CHANNELS = 1024

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(GROUPS, channels),
}
POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "average": lambda: nn.AvgPool2d(2),
    "stride": nn.Identity,
    "stem": nn.Identity,
}


class CNNConfig(Configuration):
    """`width` is the first stage's number of channels, `growth` the factor from stage to stage. A strided `stem` halves
    the picture in its very first convolution, 5 x 5, whatever `pooling` says: no layer works on 28 x 28 maps."""

    stages: int = Field(
        ge=2,
        le=4,
        json_schema_extra={
            "instead": "give width, growth or convs_per_stage more room, since 28 x 28 pixels cannot be halved more "
            "often"
        },
    )
    convs_per_stage: int = Field(ge=1, le=4, json_schema_extra={"instead": "give width or growth more room"})
    width: int = Field(ge=4, le=256, json_schema_extra={"instead": "give depth or another family room"})
    growth: float = Field(ge=0.5, le=4, json_schema_extra={"instead": "give width more room"})
    kernel_size: Literal[3, 5]
    activation: Activation
    normalisation: Literal["none", "batch", "group"]
    pooling: Literal["max", "average", "stride"]
    stem: Literal["plain", "strided"] = "plain"
    residual: bool
    head: Literal["global", "hidden"]
    head_width: int | None = Field(
        default=None, ge=1, le=4096, json_schema_extra={"instead": "give the stages before it more room"}
    )
    dropout: float = Field(
        ge=0, le=0.7, json_schema_extra={"instead": "try more weight_decay, label_smoothing or augmentation"}
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.head == "hidden" and self.head_width is None:
            raise ValueError("head 'hidden' needs head_width")
        if max(self.channels) > MAX_CHANNELS:
            raise ValueError(
                f"width and growth lead to {max(self.channels)} channels, at most {MAX_CHANNELS} are allowed"
            )
        return self

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage, multiples of four so that group norm's groups divide them."""
        return tuple(GROUPS * max(1, round(self.width * self.growth**stage / GROUPS)) for stage in range(self.stages))


class Stage(nn.Module):
    """[B, C_in, H, W] to [B, C, H/2, W/2], halved right after the first convolution, before its norm and activation:
    all that follows works on a quarter of the pixels."""

    def __init__(self, config: CNNConfig, inputs: int, channels: int, pooling: str) -> None:
        super().__init__()
        kernel = max(STEM_KERNEL, config.kernel_size) if pooling == "stem" else config.kernel_size
        body = [_conv(config, inputs, channels, kernel, _stride(pooling)), POOLS[pooling]()]
        for _ in range(config.convs_per_stage - 1):
            body += [*_norm_and_activation(config, channels), _conv(config, channels, channels, config.kernel_size)]
        self.body = nn.Sequential(*body)
        self.shortcut = _shortcut(inputs, channels, pooling) if config.residual else None
        self.end = nn.Sequential(*_norm_and_activation(config, channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)  # [B, C, H/2, W/2]
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        out: Tensor = self.end(y)
        return out


def _poolings(config: CNNConfig) -> list[str]:
    """How each stage halves its picture."""
    first = "stem" if config.stem == "strided" else config.pooling
    return [first, *[config.pooling] * (config.stages - 1)]


def _stride(pooling: str) -> int:
    return 2 if pooling in ("stride", "stem") else 1


def _conv(config: CNNConfig, inputs: int, channels: int, kernel: int, stride: int = 1) -> nn.Module:
    # A norm subtracts any bias again.
    bias = config.normalisation == "none"
    return nn.Conv2d(inputs, channels, kernel, stride, padding=kernel // 2, bias=bias)


def _norm_and_activation(config: CNNConfig, channels: int) -> list[nn.Module]:
    return [NORMS[config.normalisation](channels), ACTIVATIONS[config.activation]()]


def _shortcut(inputs: int, channels: int, pooling: str) -> nn.Module:
    """Pooling as in the body; a 1 x 1 convolution where channels change or a stride has to do the halving."""
    if inputs == channels and _stride(pooling) == 1:
        return POOLS[pooling]()
    return nn.Sequential(POOLS[pooling](), nn.Conv2d(inputs, channels, 1, _stride(pooling), bias=False))


class PixelsFirst(nn.Module):
    """[B, C, H, W] to [B, H·W·C], as channels_last has them in memory: neither the maps nor their gradient are copied.
    A gradient in another order made the ReLU before it take eighteen times as long."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def _head(config: CNNConfig, n_classes: int) -> nn.Sequential:
    channels = config.channels[-1]
    if config.head == "global":
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config.dropout)]  # [B, C]
        return nn.Sequential(*pool, nn.Linear(channels, n_classes))
    assert config.head_width is not None
    hidden = [PixelsFirst(), nn.Linear(channels * _final_size(config) ** 2, config.head_width)]  # [B, head_width]
    act = [ACTIVATIONS[config.activation](), nn.Dropout(config.dropout)]
    return nn.Sequential(*hidden, *act, nn.Linear(config.head_width, n_classes))


def _final_size(config: CNNConfig) -> int:
    """28, 14, 7, 3, 1 by pooling; a padded strided convolution rounds up: 28, 14, 7, 4, 2."""
    size = IMAGE_SIZE
    for pooling in _poolings(config):
        size = (size + 1) // 2 if _stride(pooling) == 2 else size // 2
    return size


class CNN(nn.Module):
    """[B, 1, 28, 28] to logits [B, n_classes]."""

    Config: ClassVar[type[CNNConfig]] = CNNConfig

    def __init__(self, config: CNNConfig, n_classes: int) -> None:
        super().__init__()
        widths = (1, *config.channels)
        poolings = _poolings(config)
        self.stages = nn.Sequential(
            *(Stage(config, widths[i], widths[i + 1], poolings[i]) for i in range(config.stages))
        )
        self.head = _head(config, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(x)  # [B, channels[-1], 7, 7] after two stages, 3 x 3 after three, 1 x 1 after four
        logits: Tensor = self.head(x)  # [B, n_classes]
        return logits
