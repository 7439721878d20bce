"""The index: what is known of each product, row for row, and its vectors in three spaces.

Made anew each day from the catalogue with the models as they are; a product that was listed since
has a vector by its content. Saved as plain files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.retrieval.attributes import Attributes
from agora.retrieval.vectors import DEPTH, Vectors
from agora.shopping.catalogue import FILE, Catalogue, attributes_of, catalogue_of, logged
from agora.systems.recommendation.features import LOGGED, OF_ITEM, SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Array = np.ndarray[Any, Any]

FILTERS = "filters"
RATE = "product_click_rate_30d"
# Counts of a day, of a week and of a month hold each other: a day counts about four times a month's
# even share.
DECAYED = {
    "product_click_count_1d": 1.0, "product_click_count_7d": 0.5, "product_click_count_30d": 0.25,
    "product_purchase_count_1d": 10.0, "product_purchase_count_7d": 5.0,
    "product_purchase_count_30d": 2.5,
}  # fmt: skip


class Index(Catalogue):
    """Products by row.

    Args:
        frame: What `frame_of` made, one row per product.
        vectors: By space, a row each.
        attributes: What filters ask for.

    Attributes:
        vectors: As given.
        titles: Objects (n,).
        features: Columns `OF_ITEM` as they are read, (n, len(OF_ITEM)).
        looks: How often each was shown in the last month, (n,): read for every list.
        popularity: Logarithm of what is taken, as far as its places explain it not, (n,).
        told: Columns `TOLD` as the rankers read them, yet when it was listed for its age:
            (n, len(TOLD)).
        most_popular: Rows of what can be bought, the most popular first.
        newest: The same, the newest first.
    """

    def __init__(
        self, frame: pl.DataFrame, vectors: Mapping[str, Vectors], attributes: Attributes
    ) -> None:
        super().__init__(frame, attributes)
        self.vectors = dict(vectors)
        self.titles = np.array(frame["title"].to_list(), dtype=object)
        self.features = np.ascontiguousarray(frame.select(OF_ITEM).to_numpy())
        self.looks = np.ascontiguousarray(self.features[:, SHOWN])
        self.popularity = frame["popularity"].to_numpy()
        self.told = self._told()
        order = np.argsort(-self.popularity, kind="stable")
        self.most_popular = order[self.for_sale[order]]
        order = np.argsort(-self.listed, kind="stable")
        self.newest = order[self.for_sale[order]]

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        matrices: Mapping[str, tuple[Array, Array | None]],
        found: Mapping[str, int] | None = None,
        asked: Mapping[str, Array] | None = None,
        *,
        listed: bool = True,
    ) -> Self:
        """An index of a frame and its vectors.

        Args:
            frame: What `frame_of` made.
            matrices: By space the vectors (n, width), and which rows have one (None: all).
            found: By space how many it will be asked for.
            asked: By space vectors as it will be asked with; products by default.
            listed: False for one that is not searched: its vectors are only looked up.
        """
        vectors = {
            name: Vectors.build(
                matrix,
                present=present,
                queries=(asked or {}).get(name),
                depth=(found or {}).get(name, DEPTH),
                listed=listed,
            )
            for name, (matrix, present) in matrices.items()
        }
        return cls(frame, vectors, attributes_of(frame))

    def save(self, folder: Path) -> None:
        """Write plain files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.write_parquet(folder / FILE)
        (folder / FILTERS).mkdir()
        self.attributes.save(folder / FILTERS)
        for name, vectors in self.vectors.items():
            (folder / name).mkdir()
            vectors.save(folder / name)

    @classmethod
    def load(cls, folder: Path, spaces: tuple[str, ...]) -> Self:
        """Read what `save` wrote."""
        return cls(
            pl.read_parquet(folder / FILE),
            {name: Vectors.load(folder / name) for name in spaces},
            Attributes.load(folder / FILTERS),
        )

    def _told(self) -> Array:
        parts = (self.popularity, logged(self.features, len(LOGGED)), self.listed, self.log_price())
        return np.column_stack(parts)


def frame_of(items: pl.DataFrame) -> pl.DataFrame:
    """What the index keeps of a catalogue with its features; nulls filled with what they mean."""
    features = items.select(pl.col(OF_ITEM).cast(pl.Float64).fill_nan(None))
    volume = pl.sum_horizontal(
        weight * pl.col(name).fill_null(0.0) for name, weight in DECAYED.items()
    )
    usual = float(features[RATE].fill_null(0.0).sum()) / max(int(features[RATE].count()), 1)
    # Rates of looks are what places do not explain; volume is what rates of a few looks lack.
    rate = (pl.col(RATE).fill_null(usual) / (usual or 1.0)).clip(1e-3, 1e3).log()
    popularity = features.select(popularity=(1.0 + volume).log() + (rate if usual else pl.lit(0.0)))
    return pl.concat(
        [
            catalogue_of(items),
            features.with_columns(pl.col(LOGGED).fill_null(0.0)).fill_null(float("nan")),
            popularity,
        ],
        how="horizontal",
    )
