"""A catalogue that changed a little: what differs is changed in the index, the rest stays as it is.

Prices, stock and figures of all products are read anew, as that is quick. A product whose words
changed is taken out and put in again behind the last; what is taken out keeps its row, without a
key, not for sale, until all is built again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.shopping.catalogue import KEY, attributes_of
from agora.systems.search.features import LOGGED
from agora.systems.search.index import Index, said_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.systems.search.meaning import Meaning

Array = np.ndarray[Any, Any]

# Share of rows that may have come, or gone, since all was built: they are searched one by one.
MOST_CHANGED = 0.02
# A smaller index is built in seconds.
SMALL = 10_000
SAID = ("title", "description", "category")
ROW, PLACE = "row", "place"


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between an index and a catalogue.

    Attributes:
        place: Row of the catalogue's frame for each row of the index, -1 for what is gone, (n,).
        gone: Rows of the index that are newly gone.
        added: Rows of the frame that the index lacks, or has with other words.
    """

    place: Array
    gone: Array
    added: Array

    @classmethod
    def between(cls, index: Index, frame: pl.DataFrame) -> Changes:
        """Compare by key and by words."""
        old = index.frame.select(KEY, *SAID).with_row_index(ROW)
        new = frame.select(KEY, *SAID).with_row_index(PLACE)
        # What was taken out before has no key, and NaN would equal NaN.
        known = old.filter(pl.col(KEY).is_not_nan())
        both = known.join(new, on=[KEY, *SAID], how="inner")
        place = np.full(len(old), -1)
        place[both[ROW].to_numpy()] = both[PLACE].to_numpy()
        living = known[ROW].to_numpy()
        is_here = np.zeros(len(new), bool)
        is_here[both[PLACE].to_numpy()] = True
        return cls(place, living[place[living] < 0], np.flatnonzero(~is_here))


def updated(
    index: Index,
    frame: pl.DataFrame,
    meaning: Meaning,
    synonyms: Mapping[str, tuple[str, ...]],
) -> Index | None:
    """The index over another catalogue; None where that is better built anew.

    Args:
        index: As it serves.
        frame: What `frame_of` made of the catalogue.
        meaning: Encodes texts; vectors of another encoder are made anew.
        synonyms: As they are now.
    """
    if len(index) < SMALL or index.encoder != meaning.name:
        return None
    changes = Changes.between(index, frame)
    late = len(index) + len(changes.added) - index.built
    lost = int(np.count_nonzero(changes.place < 0))
    if late + lost > MOST_CHANGED * index.built:
        return None
    new = frame[changes.added]
    rows = len(index) + np.arange(len(new))
    texts = {name: new[name].to_list() for name in index.lexical.schema.fields}
    lexical = index.lexical.changed(rows, texts, changes.gone, synonyms)
    vectors = index.vectors
    if index.has_vectors and len(new):
        matrix, present = meaning.texts(texts_of(new))
        vectors = vectors.changed(rows[present], matrix[present])
    coverage = (
        index.title_words.changed(lexical.analyzer, changes.gone, new["title"]),
        index.text_words.changed(lexical.analyzer, changes.gone, said_of(new)),
    )
    whole = pl.concat([_placed(index.frame, frame, changes.place), new])
    return Index(
        whole, lexical, vectors, attributes_of(whole), coverage, index.encoder, index.built
    )


def _placed(old: pl.DataFrame, new: pl.DataFrame, place: Array) -> pl.DataFrame:
    """The new frame's rows in the places of the old; what is gone has no words, key or stock."""
    at = pl.Series(PLACE, place).cast(pl.Int64)
    gone = at < 0
    found = new[at.clip(0).to_numpy()] if len(new) else old
    empty = {"title": "", "description": "", KEY: np.nan, "price": np.nan, "stock": np.nan}
    kept = ("product_id", "category", "merchant_id")
    figures = [name for name in found.columns if name not in {*empty, *kept}]
    return found.with_columns(
        *(pl.when(gone).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
          for name, value in empty.items()),
        *(pl.when(gone).then(old[name]).otherwise(pl.col(name)).alias(name) for name in kept),
        *(pl.when(gone).then(0.0 if name in LOGGED else np.nan).otherwise(pl.col(name)).alias(name)
          for name in figures),
    )  # fmt: skip
