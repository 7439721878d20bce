"""Two towers: a customer's and an item's vector whose product says what is taken next.

Learned by sampled softmax over the batch's items and some drawn evenly from the catalogue, each
logit lessened by the logarithm of how often the item is expected among them (Yi et al., 2019;
mixed negatives: Yang et al., 2020). An item's own vector is left out at random, so that the
content alone must do too: a new product has a vector from its first minute.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.ranking.interactions import load_arrays, save_arrays
from agora.ranking.tower_inputs import Customers, Items, age_input, price_input
from agora.ranking.tower_layers import Forward, Shape, build
from agora.torch_training import Training, device

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

Array = np.ndarray[Any, Any]

LAYERS, VOCABULARY = "towers.safetensors", "towers.json"
ITEMS_AT_ONCE = 16_384  # Bounds the memory of the item tower.


@dataclass(frozen=True, slots=True)
class TowerParams:
    """How the towers are built and trained; each value with its reason."""

    width: int = 64  # What an index of a million vectors holds in 256 MB.
    hidden: int = 128  # Twice the width.
    id_dropout: float = 0.3  # Enough for content to carry an item, not so much that ids are lost.
    dropout: float = 0.1
    kinds: int = 3  # Click, cart, purchase.
    temperature: float = 0.1  # Of unit vectors; lower ranks the nearest only.
    drawn: int = 256  # Items drawn evenly: else what no one takes is never pushed away.
    batch: int = 512  # Each example is ranked against the batch's items.
    epochs: int = 12
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    patience: int = 3  # Epochs without a better later loss before stopping.
    later_share: float = 0.1  # Latest examples, for early stopping; 0 keeps the last epoch.
    seed: int = 0
    threads: int = 1
    # Of an update, which goes on from trained weights: one pass, in steps that do not undo them.
    update_epochs: int = 1
    update_rate: float = 1e-3

    @property
    def update(self) -> Self:
        """How trained towers are gone on from, as in a daily update."""
        return replace(self, epochs=self.update_epochs, learning_rate=self.update_rate)

    @property
    def training(self) -> Training:
        """The part that is common to all networks."""
        names = {field.name for field in fields(Training)} & {f.name for f in fields(self)}
        return Training(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class Examples:
    """What was taken next, oldest first.

    Attributes:
        customers: As of just before.
        taken: Row in `Items` of what was taken, (n,).
        weights: Weight of each example, (n,), or None for 1.
    """

    customers: Customers
    taken: Array
    weights: Array | None = None


class TwoTower:
    """Trained towers; torch is not needed to ask them.

    Args:
        weights: Of the layers, by name.
        keys: Items that have a vector of their own, ascending, (ids,) int64.
        categories: Known categories, ascending.
        price: Mean and spread of log prices.
        shape: Sizes.
        params: How it was trained.
    """

    def __init__(
        self,
        weights: dict[str, Array],
        keys: Array,
        categories: list[str],
        price: tuple[float, float],
        shape: Shape,
        params: TowerParams,
    ) -> None:
        self.weights, self.keys, self.categories = weights, keys, categories
        self.price, self.shape, self.params = price, shape, params
        self._forward = Forward(weights, shape)

    @classmethod
    def fit(
        cls,
        examples: Examples,
        items: Items,
        params: TowerParams,
        *,
        start: TwoTower | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """Learn from what was taken.

        Args:
            examples: Oldest first.
            items: Every item that examples name; evenly drawn negatives come from them.
            params: How.
            start: Earlier towers to go on from (the daily update): their scales stay, items and
                categories that they do not know are added.
            checkpoints: Folder that keeps the progress; a killed training goes on from there.
        """
        from agora.ranking.tower_training import train

        fresh = cls._untrained(items, examples.customers.context.shape[1], params, start)
        module = fresh.module().to(device())
        train(fresh, module, examples, items, checkpoints)
        weights = {name: value.cpu().numpy() for name, value in module.state_dict().items()}
        made = (weights, fresh.keys, fresh.categories, fresh.price, fresh.shape, params)
        return cls(*made)

    def item_inputs(self, items: Items) -> tuple[Array, Array, Array, Array]:
        """The item tower's arguments: id rows, text, category rows, price."""
        return (
            _rows(self.keys, items.keys),
            items.text.astype(np.float32),
            _rows(np.array(self.categories, dtype=str), items.category.astype(str)),
            price_input(items.price, *self.price).astype(np.float32),
        )

    def item_vectors(self, items: Items) -> Array:
        """Vectors for an index, new products among them, (n, width) float32, of length 1."""
        inputs = self.item_inputs(items)
        parts = [
            self._forward.item(*(part[i : i + ITEMS_AT_ONCE] for part in inputs))
            for i in range(0, len(items), ITEMS_AT_ONCE)
        ]
        empty = np.empty((0, self.shape.width))
        return np.concatenate([empty, *parts]).astype(np.float32)

    def customer_vectors(self, customers: Customers, vectors: Array) -> Array:
        """Vectors to ask an index with, (n, width) float32, of length 1.

        Args:
            customers: Whose histories name rows of `vectors`.
            vectors: What `item_vectors` gave, (items, width).
        """
        known = customers.items >= 0
        found = self._forward.customer(
            vectors[np.where(known, customers.items, 0)].astype(float),
            np.where(known, customers.kinds, 0).astype(np.int64),
            age_input(np.where(known, customers.ages, 0.0)),
            known,
            customers.context.astype(float),
        )
        return found.astype(np.float32)

    def module(self) -> nn.Module:
        """The towers in torch, on the CPU."""
        import torch

        module = build(self.shape)
        module.load_state_dict({name: torch.from_numpy(v) for name, v in self.weights.items()})
        return module

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, the rest as JSON."""
        save_arrays(folder / LAYERS, {**self.weights, "keys": self.keys}, {})
        rest = {
            "categories": self.categories,
            "price": self.price,
            "shape": asdict(self.shape),
            "params": asdict(self.params),
        }
        (folder / VOCABULARY).write_text(json.dumps(rest, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        weights, _ = load_arrays(folder / LAYERS)
        keys = weights.pop("keys")
        rest = json.loads((folder / VOCABULARY).read_text())
        mean, spread = rest["price"]
        shape, params = Shape(**rest["shape"]), TowerParams(**rest["params"])
        return cls(weights, keys, rest["categories"], (mean, spread), shape, params)

    @classmethod
    def _untrained(
        cls, items: Items, context: int, params: TowerParams, start: TwoTower | None
    ) -> Self:
        """Towers of random weights, or of earlier ones where these know an item or category."""
        import torch

        keys, categories = np.unique(items.keys), sorted(set(items.category.astype(str).tolist()))
        logs = np.log(items.price[items.price > 0])
        price = (float(logs.mean()), max(float(logs.std()), 1e-3)) if len(logs) else (0.0, 1.0)
        if start is not None:
            keys, price = np.union1d(start.keys, keys), start.price
            categories = sorted({*start.categories, *categories})
        shape = Shape(
            ids=len(keys), text=items.text.shape[1], categories=len(categories) + 1,
            context=context, kinds=params.kinds, width=params.width, hidden=params.hidden,
            id_dropout=params.id_dropout, dropout=params.dropout,
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(params.seed)
            weights = {k: v.numpy().copy() for k, v in build(shape).state_dict().items()}
        if start is not None:
            weights |= {k: v for k, v in start.weights.items() if k not in _TABLES}
            for name, old, new in (
                ("ids.weight", start.keys, keys),
                ("categories.weight", np.array(start.categories), np.array(categories)),
            ):
                place = np.append(0, 1 + np.searchsorted(new, old))
                weights[name][place] = start.weights[name]
        return cls(weights, keys, categories, price, shape, params)


_TABLES = ("ids.weight", "categories.weight")


def _rows(known: Array, asked: Array) -> Array:
    """Row of each value in an ascending vocabulary that begins with the unknown, (n,) int64."""
    if not len(known):
        return np.zeros(len(asked), np.int64)
    place = np.searchsorted(known, asked).clip(max=len(known) - 1)
    return np.where(known[place] == asked, place + 1, 0).astype(np.int64)
