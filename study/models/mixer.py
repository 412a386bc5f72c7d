"""MLP-Mixer: patches become tokens; linear layers mix tokens and channels in turn (Tolstikhin et al. 2021)."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from study.models.layers import ACTIVATIONS, IMAGE_SIZE, Activation
from study.records.settings import Configuration


class MixerConfig(Configuration):
    """`width` channels for each of the (28 / patch_size)² tokens; hidden layers are `expansion` times their input."""

    depth: int = Field(ge=1, le=12, json_schema_extra={"instead": "give width more room"})
    width: int = Field(ge=4, le=1024, json_schema_extra={"instead": "give depth or another family room"})
    patch_size: Literal[4, 7, 14]
    expansion: float = Field(ge=0.25, le=8, json_schema_extra={"instead": "give width or depth more room"})
    activation: Activation
    dropout: float = Field(
        ge=0, le=0.7, json_schema_extra={"instead": "try more weight_decay, label_smoothing or augmentation"}
    )


class Block(nn.Module):
    """[B, T, D] to the same: x + mix of tokens, then x + mix of channels."""

    def __init__(self, config: MixerConfig, tokens: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(config.width)
        self.token_mix = _two_layers(tokens, config)
        self.channel_norm = nn.LayerNorm(config.width)
        self.channel_mix = _two_layers(config.width, config)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.token_mix(self.token_norm(x).transpose(1, 2))  # [B, D, T]
        x = x + mixed.transpose(1, 2)  # [B, T, D]
        out: Tensor = x + self.channel_mix(self.channel_norm(x))  # [B, T, D]
        return out


def _two_layers(size: int, config: MixerConfig) -> nn.Sequential:
    hidden = max(1, round(size * config.expansion))
    return nn.Sequential(
        nn.Linear(size, hidden),
        ACTIVATIONS[config.activation](),
        nn.Dropout(config.dropout),
        nn.Linear(hidden, size),
    )


class Mixer(nn.Module):
    """[B, 1, 28, 28] to logits [B, C]."""

    Config: ClassVar[type[MixerConfig]] = MixerConfig

    def __init__(self, config: MixerConfig, n_classes: int) -> None:
        super().__init__()
        tokens = (IMAGE_SIZE // config.patch_size) ** 2
        self.embed = nn.Conv2d(1, config.width, config.patch_size, stride=config.patch_size)
        self.blocks = nn.Sequential(*(Block(config, tokens) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.classifier = nn.Linear(config.width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)  # [B, T, D]
        x = self.norm(self.blocks(x))  # [B, T, D]
        logits: Tensor = self.classifier(x.mean(1))  # [B, C]
        return logits
