"""Which category a query means, learned from what was taken after queries with its words.

Per stem the categories of what was taken, beside those of the titles that have it: a new word of
the catalogue is understood before anybody has typed it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Array = np.ndarray[Any, Any]

FILE = "categories.json"
# Observations as which the overall shares count against a stem's own.
PRIOR = 1.0
# What a title says beside a click: there are many titles, and all have words that nobody types.
TITLE = 0.05


@dataclass(frozen=True, slots=True)
class Categories:
    """Categories by stem.

    Attributes:
        names: The categories.
        counts: Stem to what was taken of each category.
        shares: Of each category in all that was taken, (categories,).
    """

    names: tuple[str, ...]
    counts: dict[str, Array]
    shares: Array

    @classmethod
    def fit(
        cls,
        taken: Sequence[tuple[Sequence[str], str, float]],
        titles: Sequence[tuple[Sequence[str], str]],
    ) -> Self:
        """Count.

        Args:
            taken: Stems of a query, category of what was taken, and its weight.
            titles: Stems of a title, and its category.
        """
        rows = [*taken, *((stems, category, TITLE) for stems, category in titles)]
        names = tuple(sorted({category for _, category, _ in rows}))
        place = {name: number for number, name in enumerate(names)}
        counts: dict[str, Array] = {}
        shares = np.zeros(len(names))
        for stems, category, weight in rows:
            at = place[category]
            shares[at] += weight
            for stem in stems:
                counts.setdefault(stem, np.zeros(len(names)))[at] += weight
        total = shares.sum()
        return cls(names, counts, shares / total if total else shares)

    def chances(self, stems: Sequence[str]) -> Array:
        """Chance that each category is meant, (categories,); the shares where no stem is known."""
        known = [self.counts[stem] for stem in stems if stem in self.counts]
        if not known:
            return self.shares
        each = np.stack([(count + PRIOR * self.shares) / (count.sum() + PRIOR) for count in known])
        logs = np.log(np.maximum(each, 1e-9)).sum(axis=0)
        # Stems are independent witnesses of one prior, which counts once.
        logs -= (len(known) - 1) * np.log(np.maximum(self.shares, 1e-9))
        found = np.exp(logs - logs.max())
        return np.asarray(found / found.sum())

    def save(self, folder: Path) -> None:
        """Write one JSON file."""
        said = {
            "names": self.names,
            "shares": self.shares.tolist(),
            "counts": {stem: count.tolist() for stem, count in sorted(self.counts.items())},
        }
        (folder / FILE).write_text(json.dumps(said, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        said = json.loads((folder / FILE).read_text())
        counts = {stem: np.array(count) for stem, count in said["counts"].items()}
        return cls(tuple(said["names"]), counts, np.array(said["shares"]))
