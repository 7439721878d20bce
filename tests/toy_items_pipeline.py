"""Two strategies and two tiers in numpy, over a catalogue of a few hundred.

`popular` finds what was clicked most, `similar` what is of the categories of the session. A cheap
tier scores all candidates, a second one, which learned how each category is liked, the best fifty.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.candidates import Candidates, Found, retrieve_by
from agora.cascade import Inferred, Tier, Verdict, infer
from agora.entities.customers import CUSTOMERS_SHOPPING
from agora.entities.products import PRODUCTS_DAILY
from agora.pipeline import Columns, retrieved, seal, verify

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from agora.dataset import TrainingSet

Array = np.ndarray[Any, Any]
NAME = "toyitems"
LABEL = "is_clicked"
CLICKS = "product_click_count_30d"
SPENT = "customer_clicked_price_mean_30d"
READ = ("customer_id", "k", "filters", "session", SPENT)
FOUND_AT_MOST, OPEN_AT_MOST = 100, 50
SETS = ((CUSTOMERS_SHOPPING,), (PRODUCTS_DAILY,))
IDS = tuple(each.id for sets in SETS for each in sets)


@dataclass(frozen=True)
class Cheap:
    """Clicks alone; the best fifty of each request stay open."""

    name: str = "cheap"

    def score(self, matrix: Array, scores: Array) -> Verdict:
        order = np.lexsort((matrix[:, 1], -matrix[:, 2], matrix[:, 0]))
        starts = np.searchsorted(matrix[order, 0], matrix[order, 0])
        is_open = np.empty(len(matrix), bool)
        is_open[order] = np.arange(len(matrix)) - starts < OPEN_AT_MOST
        return Verdict(matrix[:, 2] * 1e-3, is_open)


@dataclass(frozen=True)
class Fine:
    """What was learned of the item's clicks, above all that stayed with the cheap tier."""

    weight: float
    name: str = "fine"

    def score(self, matrix: Array, scores: Array) -> Verdict:
        liked = 1 + self.weight * matrix[:, 2] + np.nan_to_num(matrix[:, 3])
        return Verdict(liked + scores, np.zeros(len(matrix), bool))


class ToyItems:
    """Lists of products."""

    outputs: dict[str, Any] = {  # noqa: RUF012 - as every pipeline declares it
        "items": pl.List(
            pl.Struct(
                {"product_id": pl.String, "position": pl.Int64, "score": pl.Float64,
                 "source": pl.String, "propensity": pl.Float64}
            )
        ),
        "score": pl.Float64,
    }  # fmt: skip
    rows_at_once = 64

    def __init__(self, version: str = "") -> None:
        self.version = version

    def fit(self, training_set: TrainingSet) -> Self:
        train = training_set.train
        clicks, label = train[CLICKS].fill_nan(0).to_numpy(), train[LABEL].cast(float).to_numpy()
        self.weight_ = float(np.cov(clicks, label)[0, 1] / (clicks.var() + 1e-9))
        assert training_set.items is not None
        self._index(training_set.items)
        return self

    @property
    def item_ids(self) -> Array:
        return self.ids_

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return (Cheap(), Fine(self.weight_))

    def retrieve(self, columns: Columns, without: Collection[str] = ()) -> Candidates:
        strategies = {"popular": self._popular, "similar": self._similar}
        return retrieve_by(strategies, columns, without)

    def decode(self, columns: Columns) -> Array:
        columns = retrieved(self, columns)
        found = columns.candidates
        similar = np.nan_to_num(found.scores["similar"]) if "similar" in found.scores else 0.0
        spent = np.nan_to_num(columns[SPENT][found.request]) * 1e-6
        clicks = self.clicks_[found.item]
        return np.column_stack([found.request, found.item, clicks, similar + spent])

    def infer(self, matrix: Array) -> Inferred:
        return infer(self.tiers, matrix)

    def decide(self, inferred: Inferred, matrix: Array, columns: Columns) -> dict[str, list[Any]]:
        columns = retrieved(self, columns)
        found, n = columns.candidates, len(columns["k"])
        order = np.lexsort((found.item, -inferred.scores, found.request))
        edges = np.searchsorted(found.request[order], np.arange(n + 1))
        names = list(found.scores)
        lists = []
        for row in range(n):
            best = order[edges[row] : edges[row + 1]][: int(columns["k"][row])]
            lists.append(
                [
                    {
                        "product_id": self.ids_[found.item[at]],
                        "position": place + 1,
                        "score": float(inferred.scores[at]),
                        "source": next(
                            s for s in names if found.scores[s][at] == found.scores[s][at]
                        ),
                        "propensity": 1.0,
                    }
                    for place, at in enumerate(best)
                ]
            )
        return {"items": lists, "score": [_mean(each) for each in lists]}

    def popular(self, columns: Columns) -> dict[str, list[Any]]:
        best = np.argsort(-self.clicks_, kind="stable")
        lists = [
            [
                {"product_id": self.ids_[item], "position": place + 1, "score": 0.0,
                 "source": "popular", "propensity": 1.0}
                for place, item in enumerate(best[self._allowed(columns, row)[best]][: int(k)])
            ]
            for row, k in enumerate(columns["k"])
        ]  # fmt: skip
        return {"items": lists, "score": [0.0] * len(lists)}

    def relist(self, kept: Mapping[str, Any], columns: Columns) -> dict[str, list[Any]] | None:
        if columns["filters"][0] is not None:
            return None
        known = set(self.ids_.tolist())
        items = [item for item in kept["items"] if item["product_id"] in known]
        return {"items": [items[: int(columns["k"][0])]], "score": [kept["score"]]}

    def with_items(self, items: pl.DataFrame) -> Self:
        other = copy(self)
        other._index(items)
        return other

    def save_index(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "clicks.npy", self.clicks_)
        np.save(folder / "prices.npy", self.prices_)
        text = {"ids": self.ids_.tolist(), "categories": self.categories_.tolist()}
        (folder / "items.json").write_text(json.dumps(text))

    def load_index(self, folder: Path) -> Self:
        other = copy(self)
        other.clicks_ = np.load(folder / "clicks.npy")
        other.prices_ = np.load(folder / "prices.npy")
        text = json.loads((folder / "items.json").read_text())
        other.ids_ = np.array(text["ids"], object)
        other.categories_ = np.array(text["categories"], object)
        return other

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "learned.json").write_text(json.dumps({"weight": self.weight_}))
        self.save_index(folder / "index")
        seal(
            folder, system=NAME, version=self.version, inputs=READ, outputs=self.outputs,
            feature_sets=IDS, params={"open": OPEN_AT_MOST}, libraries=("numpy",),
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Self:
        pipeline = cls(verify(folder, system=NAME, feature_sets=IDS).version)
        pipeline.weight_ = json.loads((folder / "learned.json").read_text())["weight"]
        return pipeline.load_index(folder / "index")

    def _index(self, items: pl.DataFrame) -> None:
        self.ids_ = np.array(items["product_id"].to_list(), object)
        self.categories_ = np.array(items["category"].to_list(), object)
        self.prices_ = items["price"].cast(float).to_numpy()
        self.clicks_ = items[CLICKS].fill_nan(0).to_numpy()

    def _allowed(self, columns: Columns, row: int) -> Array:
        wanted = columns["filters"][row] or {}
        allowed = np.ones(len(self.ids_), bool)
        if wanted.get("category") is not None:
            allowed &= self.categories_ == wanted["category"]
        if wanted.get("price_min") is not None:
            allowed &= self.prices_ >= wanted["price_min"]
        return allowed

    def _popular(self, columns: Columns) -> Found:
        best = np.argsort(-self.clicks_, kind="stable")
        return self._found(columns, lambda row: best[self._allowed(columns, row)[best]])

    def _similar(self, columns: Columns) -> Found:
        category = dict(zip(self.ids_.tolist(), self.categories_.tolist(), strict=True))

        def found(row: int) -> Array:
            seen = {category.get(event["product_id"]) for event in columns["session"][row] or ()}
            return np.flatnonzero(
                np.isin(self.categories_, list(seen)) & self._allowed(columns, row)
            )

        return self._found(columns, found)

    def _found(self, columns: Columns, of_row: Any) -> Found:
        parts = [of_row(row)[:FOUND_AT_MOST] for row in range(len(columns["k"]))]
        request = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        item = np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int64)
        return Found(request, item, np.ones(len(item)))


def _mean(items: list[dict[str, Any]]) -> float:
    return float(np.mean([item["score"] for item in items])) if items else 0.0
