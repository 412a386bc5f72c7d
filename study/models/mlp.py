"""Feed-forward networks: linear, norm, activation, dropout, repeated."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from study.models.layers import ACTIVATIONS, IMAGE_SIZE, Activation
from study.records.settings import Configuration

NORMS = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLPConfig(Configuration):
    """`width` holds the units of each hidden layer, `depth` of them."""

    depth: int = Field(ge=1, le=5, json_schema_extra={"instead": "give width more room"})
    width: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        strict=False,  # a list, too; its items are strict
        json_schema_extra={"instead": "give depth or another family room"},
    )
    activation: Activation
    normalisation: Literal["none", "batch", "layer"]
    dropout: float = Field(
        ge=0, le=0.7, json_schema_extra={"instead": "try more weight_decay, label_smoothing or augmentation"}
    )

    @model_validator(mode="after")
    def _one_width_per_layer(self) -> Self:
        if len(self.width) != self.depth:
            raise ValueError(f"width needs one entry per layer, depth is {self.depth}")
        return self


class MLP(nn.Module):
    """[B, 1, 28, 28] to logits [B, C]."""

    Config: ClassVar[type[MLPConfig]] = MLPConfig

    def __init__(self, config: MLPConfig, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = IMAGE_SIZE * IMAGE_SIZE
        for units in config.width:
            # A batch norm subtracts any bias again.
            layers.append(nn.Linear(inputs, units, bias=config.normalisation != "batch"))
            layers.append(NORMS[config.normalisation](units))
            layers.append(ACTIVATIONS[config.activation]())
            layers.append(nn.Dropout(config.dropout))
            inputs = units
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)  # [B, 784]
        x = self.hidden(x)  # [B, width[-1]]
        logits: Tensor = self.classifier(x)  # [B, C]
        return logits
