"""Models of taste: two towers and factored EASE; vectors of products and of who asks.

Three spaces: `towers` (what is taken next), `content` (the item tower without the product's own
vector: products that are alike), `collaborative` (what is taken together).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.ranking import tower_inputs
from agora.ranking.collaborative import FactoredEase
from agora.ranking.tower_inputs import Customers, hashed_text
from agora.ranking.towers import TwoTower
from agora.shopping.catalogue import KEY
from agora.shopping.history import WORTH
from agora.systems.recommendation.features import (
    COLLABORATIVE,
    CONTENT,
    COUNTS,
    OF_CUSTOMER,
    TOWERS,
)
from agora.systems.recommendation.history import History, history_of

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from agora.pipeline import Columns
    from agora.systems.recommendation.index import Index

Array = np.ndarray[Any, Any]

SPACES = (TOWERS, COLLABORATIVE, CONTENT)
CONTEXT = 4
AT_ONCE = 50_000  # Texts hashed at once: bounds memory.
UNKNOWN = -1  # No product's key.
RECENT, FADES = 5, 0.7  # Steps that say what is being looked for, and how fast they say less.
KNOWN_AT_FIT, SAID = "collaborative_keys.npy", "tastes.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, as the spaces see them; row for row of the requests.

    Attributes:
        history: What was done last.
        rows: Row of each step in the index, -1 where it is not there, (n, L).
        queries: By space a vector each, float32 (n, width); NaN where nothing can be asked.
    """

    history: History
    rows: Array
    queries: dict[str, Array]


@dataclass(frozen=True, slots=True)
class Tastes:
    """The fitted models.

    Attributes:
        towers: The two towers.
        ease: Collaborative vectors of the products known at the training.
        keys: Their keys, ascending.
        text: Numbers of a text's vector.
    """

    towers: TwoTower
    ease: FactoredEase
    keys: Array
    text: int

    def matrices(self, frame: pl.DataFrame) -> dict[str, tuple[Array, Array | None]]:
        """Vectors of the index's products by space, and which have one."""
        parts = [self._parts(each) for each in frame.iter_slices(AT_ONCE)]
        width = self.towers.shape.width
        empty = np.empty((0, width), np.float32)
        own, content = (np.concatenate([empty, *(part[i] for part in parts)]) for i in (0, 1))
        place, known = self._places(frame[KEY].to_numpy())
        together = self.ease.vectors()[place] * known[:, None].astype(np.float32)
        return {TOWERS: (own, None), COLLABORATIVE: (together, known), CONTENT: (content, None)}

    def ask(self, columns: Columns, index: Index) -> Asked:
        """The visitors of request columns."""
        history = history_of(columns)
        rows = index.rows_of(history.keys)
        customers = customers_of(history, rows, columns, self.towers.price)
        queries = {
            TOWERS: self._towers(customers, index),
            COLLABORATIVE: self._collaborative(history),
            CONTENT: self._content(history, rows, index),
        }
        return Asked(history, rows, queries)

    def save(self, folder: Path) -> None:
        """Write plain files."""
        self.towers.save(folder)
        self.ease.save(folder)
        np.save(folder / KNOWN_AT_FIT, self.keys)
        (folder / SAID).write_text(json.dumps({"text": self.text}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        text = json.loads((folder / SAID).read_text())["text"]
        keys = np.load(folder / KNOWN_AT_FIT)
        return cls(TwoTower.load(folder), FactoredEase.load(folder), keys, text)

    def _parts(self, frame: pl.DataFrame) -> tuple[Array, Array]:
        items = items_of(frame, self.text)
        unknown = tower_inputs.Items(
            np.full(len(items), UNKNOWN), items.text, items.category, items.price
        )
        return self.towers.item_vectors(items), self.towers.item_vectors(unknown)

    def _towers(self, customers: Customers, index: Index) -> Array:
        known = customers.items >= 0
        steps = index.vectors[TOWERS].of(np.where(known, customers.items, 0).ravel())
        place = np.arange(known.size).reshape(known.shape)
        local = Customers(
            np.where(known, place, -1), customers.kinds, customers.ages, customers.context
        )
        return self.towers.customer_vectors(local, steps)

    def _collaborative(self, history: History) -> Array:
        place, known = self._places(history.keys)
        inputs = self.ease.inputs_
        assert inputs is not None, "it is fitted or loaded"
        weight = WORTH[history.kinds] * known
        found = np.einsum("nl,nlr->nr", weight, inputs[place].astype(float))
        return np.where(known.any(axis=1, keepdims=True), found, np.nan).astype(np.float32)

    def _content(self, history: History, rows: Array, index: Index) -> Array:
        rows, kinds = rows[:, :RECENT], history.kinds[:, :RECENT]
        known = rows >= 0
        vectors = index.vectors[CONTENT].of(np.where(known, rows, 0).ravel())
        weight = WORTH[kinds] * FADES ** np.arange(rows.shape[1]) * known
        vectors = vectors.reshape(*rows.shape, vectors.shape[1]).astype(float)
        found = np.einsum("nl,nlr->nr", weight, vectors)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        found = found / np.maximum(length, 1e-9)
        return np.where(known.any(axis=1, keepdims=True), found, np.nan).astype(np.float32)

    def _places(self, keys: Array) -> tuple[Array, Array]:
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return place, self.keys[place] == keys


def items_of(frame: pl.DataFrame, text: int) -> tower_inputs.Items:
    """Products as the item tower sees them."""
    words = [f"{a} {b}" for a, b in frame.select("title", "description").iter_rows()]
    return tower_inputs.Items(
        frame[KEY].to_numpy().astype(np.int64),
        hashed_text(words, text),
        frame["category"].fill_null("").to_numpy(),
        frame["price"].to_numpy(),
    )


def customers_of(
    history: History, rows: Array, columns: Columns, price: tuple[float, float]
) -> Customers:
    """Visitors as the customer tower sees them.

    Args:
        history: What was done last.
        rows: Row of each step in the index.
        columns: The requests.
        price: Mean and spread of the logarithm of prices.
    """
    numbers = dict(zip(OF_CUSTOMER.names, OF_CUSTOMER(columns), strict=True))
    click, purchase, spent = (
        numbers[name] for name in (COUNTS[1], COUNTS[3], OF_CUSTOMER.names[-1])
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = (np.log(spent) - price[0]) / price[1]
    context = np.column_stack(
        [
            history.known.any(axis=1),
            np.log1p(np.fmax(click, 0.0)) / 3,
            np.log1p(np.fmax(purchase, 0.0)) / 3,
            np.where(np.isfinite(usual), np.clip(usual, -3.0, 3.0), 0.0),
        ]
    )
    return Customers(np.where(history.known, rows, -1), history.kinds, history.ages, context)
