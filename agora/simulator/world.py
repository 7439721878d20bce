"""The shop's world: goods, tastes and names. Drawn again from the parameters wherever it is needed.

Payments and visits share customers, sellers and products; each has its own process over them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.simulator.frames import identifiers
from agora.simulator.goods import Goods, make_concepts, make_goods
from agora.simulator.marketplace import make_marketplace
from agora.simulator.params import Mix, Params
from agora.simulator.tastes import Tastes, make_tastes

if TYPE_CHECKING:
    from pathlib import Path

    from agora.simulator.arrays import Ints
    from agora.simulator.goods import Concepts
    from agora.simulator.marketplace import Marketplace


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a visit depends on; identifiers by position."""

    marketplace: Marketplace
    concepts: Concepts
    goods: Goods
    tastes: Tastes
    customer_ids: pl.Series
    merchant_ids: pl.Series
    product_ids: pl.Series

    @property
    def params(self) -> Params:
        """Parameters that it was made from."""
        return self.marketplace.params

    def products_at(self, identifiers: pl.Series) -> Ints:
        """Positions of products; -1 for one that does not exist."""
        return _positions(self.product_ids, identifiers)

    def customers_at(self, identifiers: pl.Series) -> Ints:
        """Positions of customers; -1 for one that does not exist."""
        return _positions(self.customer_ids, identifiers)


def make_world(source: Params | Marketplace) -> World:
    """The world of these parameters; always the same."""
    marketplace = make_marketplace(source) if isinstance(source, Params) else source
    params = marketplace.params
    concepts = make_concepts(params)
    goods = make_goods(params, marketplace.merchants, marketplace.products, concepts)
    known = len(marketplace.products.price)
    # Payments number their products first: launches come after, so that no old name changes.
    launched = pl.Series(np.arange(known + 1, len(goods) + 1)).cast(pl.String).str.zfill(8)
    ids = [
        identifiers("prd", goods.created_at[:known]),
        pl.select(pl.lit("prd_") + launched).to_series(),
    ]
    return World(
        marketplace=marketplace,
        concepts=concepts,
        goods=goods,
        tastes=make_tastes(params, marketplace.customers, concepts),
        customer_ids=identifiers("cus", marketplace.customers.joined_at),
        merchant_ids=identifiers("mer", marketplace.merchants.joined_at),
        product_ids=pl.concat(ids).rename("product_id"),
    )


def load_world(truth: Path) -> World:
    """The world whose `params.json` `simulate` wrote into its truth folder.

    Raises:
        FileNotFoundError: Nothing was simulated there.
    """
    held: dict[str, Any] = json.loads((truth / "params.json").read_text(encoding="utf-8"))
    known = {part.name for part in fields(Params)}
    values = {name: value for name, value in held.items() if name in known}
    for name in ("start", "drift_at"):
        if values.get(name) is not None:
            values[name] = date.fromisoformat(values[name])
    for name in ("mix", "drift_mix"):
        values[name] = Mix(**values[name])
    return make_world(Params(**values))


def _positions(known: pl.Series, wanted: pl.Series) -> Ints:
    rows = pl.DataFrame({"id": known, "position": np.arange(len(known))})
    found = pl.DataFrame({"id": wanted.cast(pl.String)}).join(
        rows, on="id", how="left", maintain_order="left"
    )
    return found["position"].fill_null(-1).to_numpy()
