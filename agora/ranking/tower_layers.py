"""The layers of the two towers, twice on the same weights: in torch to learn, in numpy to serve.

The item tower makes a vector of an item's id, text, category and price. The customer tower reads
the vectors of the latest items, asks them by the latest one and the context (attention with a
learned pull towards the recent), and makes a vector of the same space.
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
PRICE_INPUTS, AGE_INPUTS = 2, 1
SMALL = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the towers.

    Attributes:
        ids: Items that have a vector of their own.
        text: Numbers of an item's text vector.
        categories: Categories known, the first being unknown.
        context: Numbers of a request's context.
        kinds: Kinds of interaction, as click, cart and purchase.
        width: Of the common space.
        hidden: Of the layer between.
        id_dropout: Share of items whose own vector is left out in training.
        dropout: Share of hidden values left out in training.
    """

    ids: int
    text: int
    categories: int
    context: int
    kinds: int = 3
    width: int = 64
    hidden: int = 128
    id_dropout: float = 0.3
    dropout: float = 0.1


def build(shape: Shape) -> nn.Module:
    """The untrained towers, as a module with `item` and `customer`."""
    import torch
    from torch import nn
    from torch.nn import functional

    width, hidden = shape.width, shape.hidden

    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # Row 0 is an item without a vector of its own: nought, as one that was left out.
            self.ids = nn.Embedding(shape.ids + 1, width, padding_idx=0)
            self.categories = nn.Embedding(shape.categories, width)
            self.text = nn.Linear(shape.text, width)
            self.price = nn.Linear(PRICE_INPUTS, width)
            self.item_hidden = nn.Linear(width, hidden)
            self.item_out = nn.Linear(hidden, width)
            self.kinds = nn.Embedding(shape.kinds, width)
            self.age = nn.Linear(AGE_INPUTS, 1)
            self.query = nn.Linear(width + shape.context, width)
            self.key = nn.Linear(width, width)
            self.customer_hidden = nn.Linear(2 * width + shape.context, hidden)
            self.customer_out = nn.Linear(hidden, width)
            self.dropout = nn.Dropout(shape.dropout)
            nn.init.normal_(self.ids.weight, std=0.05)
            nn.init.normal_(self.categories.weight, std=0.05)
            nn.init.normal_(self.kinds.weight, std=0.05)
            with torch.no_grad():
                self.ids.weight[0] = 0.0

        def item(self, ids: Tensor, text: Tensor, category: Tensor, price: Tensor) -> Tensor:
            if self.training:
                ids = ids * (torch.rand(ids.shape, device=ids.device) >= shape.id_dropout)
            own = self.text(text) + self.price(price) + self.categories(category)
            mixed = own + self.ids(ids)  # (n, width)
            deeper = self.item_out(self.dropout(self.item_hidden(mixed.relu()).relu()))
            return functional.normalize(mixed + deeper, dim=1, eps=SMALL)

        def customer(
            self, items: Tensor, kinds: Tensor, age: Tensor, known: Tensor, context: Tensor
        ) -> Tensor:
            # items (n, L, width), newest first; kinds, age, known (n, L); context (n, c)
            steps = (items + self.kinds(kinds)) * known[:, :, None]
            query = self.query(torch.cat([steps[:, 0], context], 1))  # (n, width)
            pull = (self.key(steps) @ query[:, :, None]).squeeze(2) * width**-0.5  # (n, L)
            pull = pull + self.age(age[:, :, None]).squeeze(2)
            weight = pull.masked_fill(~known, NEVER).softmax(1)
            pooled = (weight[:, None] @ steps).squeeze(1)  # (n, width)
            joint = torch.cat([steps[:, 0], pooled, context], 1)
            deeper = self.customer_out(self.dropout(self.customer_hidden(joint).relu()))
            return functional.normalize(pooled + deeper, dim=1, eps=SMALL)

    return Towers()


class Forward:
    """The trained towers in numpy; in float64 inside, so that one row is as it is among many."""

    def __init__(self, weights: Mapping[str, Array], shape: Shape) -> None:
        self.shape = shape
        self.tables = {
            name: weights[f"{name}.weight"].astype(float) for name in ("ids", "categories", "kinds")
        }
        self.layers = {
            name.removesuffix(".bias"): (
                np.ascontiguousarray(weights[name.replace("bias", "weight")].T, dtype=float),
                weights[name].astype(float),
            )
            for name in weights
            if name.endswith(".bias")
        }

    def item(self, ids: Array, text: Array, category: Array, price: Array) -> Array:
        """Vectors of items, (n, width), of length 1."""
        mixed = self._linear("text", text) + self._linear("price", price)
        mixed += self.tables["categories"][category] + self.tables["ids"][ids]
        hidden = np.maximum(self._linear("item_hidden", np.maximum(mixed, 0.0)), 0.0)
        return _unit(mixed + self._linear("item_out", hidden))

    def customer(
        self, items: Array, kinds: Array, age: Array, known: Array, context: Array
    ) -> Array:
        """Vectors of customers, (n, width), of length 1; arguments as in torch."""
        n, length, width = items.shape
        steps = (items + self.tables["kinds"][kinds]) * known[:, :, None]
        query = self._linear("query", np.concatenate([steps[:, 0], context], axis=1))
        key = self._linear("key", steps.reshape(n * length, width)).reshape(n, length, width)
        pull = (key @ query[:, :, None])[:, :, 0] * width**-0.5
        pull += self._linear("age", age.reshape(-1, 1)).reshape(n, length)
        pull[~known] = NEVER
        pull -= pull.max(axis=1, keepdims=True)
        weight = np.exp(pull)
        weight /= weight.sum(axis=1, keepdims=True)
        pooled = (weight[:, None] @ steps)[:, 0]
        joint = np.concatenate([steps[:, 0], pooled, context], axis=1)
        hidden = np.maximum(self._linear("customer_hidden", joint), 0.0)
        return _unit(pooled + self._linear("customer_out", hidden))

    def _linear(self, name: str, inputs: Array) -> Array:
        weight, bias = self.layers[name]
        return np.asarray(inputs @ weight + bias)


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, SMALL))
