"""The network's layers: attention over the steps of a sequence, asked by the payment itself.

Twice, on the same weights: in torch, to be trained and for a GPU; in numpy for a CPU, where torch
takes half as long again for many rows, five times as long for one, and three seconds to load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

Array = np.ndarray[Any, Any]

NEVER = -1e9  # Attention to a step that is not there.


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network.

    Attributes:
        statics: Inputs of the payment as a whole.
        step_inputs: Inputs of each step.
        width: Of a step.
        heads: Of attention.
        hidden: Of the payment as a whole.
        dropout: Share of hidden values left out in training.
        input_dropout: Share of the payment's inputs, and of a step's first layer, left out.
    """

    statics: int
    step_inputs: int
    width: int
    heads: int
    hidden: int
    dropout: float
    input_dropout: float


def build(shape: Shape) -> nn.Module:
    """The untrained network: (statics, steps, known) to logits, (n,)."""
    import torch
    from torch import nn

    width, heads, hidden = shape.width, shape.heads, shape.hidden

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = nn.Linear(shape.step_inputs, width)
            self.deeper = nn.Linear(width, width)
            self.static = nn.Linear(shape.statics, hidden)
            self.query = nn.Linear(hidden + width, width)
            self.key = nn.Linear(width, width)
            self.value = nn.Linear(width, width)
            self.joint = nn.Linear(hidden + 2 * width, hidden)
            self.out = nn.Linear(hidden, 1)
            # What is linear stays so: it ranks the many payments of which little is known.
            self.wide = nn.Linear(shape.statics, 1)
            nn.init.zeros_(self.wide.weight)
            self.dropout = nn.Dropout(shape.dropout)
            self.input_dropout = nn.Dropout(shape.input_dropout)

        def forward(self, statics: Tensor, inputs: Tensor, known: Tensor) -> Tensor:
            n, length = known.shape
            step = self.input_dropout(self.step(inputs).relu())
            step = self.deeper(step).relu()  # (n, L, width)
            static = self.static(self.input_dropout(statics)).relu()  # (n, hidden)
            static = self.dropout(static)
            now = step[:, 0]  # (n, width)
            query = self.query(torch.cat([static, now], 1)).view(n, heads, 1, -1)
            key = self.key(step).view(n, length, heads, -1).permute(0, 2, 3, 1)  # (n, h, d, L)
            value = self.value(step).view(n, length, heads, -1).transpose(1, 2)  # (n, h, L, d)
            weight = (query @ key) * (width / heads) ** -0.5
            weight = weight.masked_fill(~known[:, None, None], NEVER).softmax(-1)  # (n, h, 1, L)
            pooled = self.dropout((weight @ value).reshape(n, width))
            joint = self.joint(torch.cat([static, now, pooled], 1)).relu()
            found = self.out(self.dropout(joint)) + self.wide(statics)
            return found.squeeze(1)  # type: ignore[no-any-return]

    return Network()


class Forward:
    """The trained network in numpy."""

    def __init__(self, weights: Mapping[str, Array], shape: Shape) -> None:
        self.layers = {
            name.removesuffix(".bias"): (
                np.ascontiguousarray(weights[name.replace("bias", "weight")].T),
                bias,
            )
            for name, bias in weights.items()
            if name.endswith(".bias")
        }
        self.heads, self.scale = shape.heads, (shape.width / shape.heads) ** -0.5

    def __call__(self, statics: Array, inputs: Array, known: Array) -> Array:
        """Logits, (n,)."""
        n, length = known.shape
        step = self._relu("deeper", self._relu("step", inputs.reshape(n * length, -1)))
        static = self._relu("static", statics)  # (n, hidden)
        now = step[::length]  # (n, width)
        query = self._linear("query", np.concatenate([static, now], axis=1))
        key = self._linear("key", step).reshape(n, length, self.heads, -1)
        value = self._linear("value", step).reshape(n, length, self.heads, -1)
        weight = key.transpose(0, 2, 1, 3) @ query.reshape(n, self.heads, -1, 1)  # (n, h, L, 1)
        weight *= self.scale
        weight.transpose(0, 2, 1, 3)[~known] = NEVER
        weight -= weight.max(axis=2, keepdims=True)
        np.exp(weight, out=weight)
        weight /= weight.sum(axis=2, keepdims=True)
        pooled = (weight.swapaxes(2, 3) @ value.transpose(0, 2, 1, 3)).reshape(n, -1)
        joint = self._relu("joint", np.concatenate([static, now, pooled], axis=1))
        return (self._linear("out", joint) + self._linear("wide", statics))[:, 0]

    def _linear(self, name: str, inputs: Array) -> Array:
        weight, bias = self.layers[name]
        found: Array = inputs @ weight
        found += bias
        return found

    def _relu(self, name: str, inputs: Array) -> Array:
        found = self._linear(name, inputs)
        return np.maximum(found, 0.0, out=found)
