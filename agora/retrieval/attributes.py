"""What items are filtered by: values to equal (category, seller) and numbers to lie in a range.

A filter is answered with the rows it leaves where they are few, with a mask over all where they are
many: neighbours are then searched in the slice, or through the mask.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.retrieval.hits import RetrievalError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from agora.retrieval.hits import Array

# Rows whose vectors are gathered and compared one by one; more are searched through a mask.
FEW, GATHERED = 20_000, 8
UNBOUND = (None, None)


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows that a filter leaves: `rows` (int64, ascending) where few, else `mask` (items,)."""

    rows: Array | None = None
    mask: Array | None = None

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return 0 if self.mask is None else int(np.count_nonzero(self.mask))

    def allowed(self, items: int) -> Array:
        """By row whether it is left, bool (items,); rows beyond what was filtered are not."""
        allowed = np.zeros(items, bool)
        if self.rows is not None:
            allowed[self.rows[self.rows < items]] = True
        elif self.mask is not None:
            known = min(items, len(self.mask))
            allowed[:known] = self.mask[:known]
        return allowed


class Attributes:
    """Columns of all rows, ready to be filtered by.

    Args:
        values: Column of texts by name, (items,); None is a value like others.
        numbers: Column of numbers by name, (items,); NaN lies in no range.
    """

    def __init__(
        self,
        values: Mapping[str, Sequence[str | None] | Array],
        numbers: Mapping[str, Array],
    ) -> None:
        self._values = {name: _Values.of(column) for name, column in values.items()}
        self._numbers = {name: _Numbers(np.asarray(column)) for name, column in numbers.items()}

    @property
    def items(self) -> int:
        """Number of rows."""
        columns = [column.codes for column in self._values.values()]
        columns += [column.numbers for column in self._numbers.values()]
        return len(columns[0]) if columns else 0

    def select(
        self,
        equal: Mapping[str, Collection[str | None]] | None = None,
        between: Mapping[str, tuple[float | None, float | None]] | None = None,
    ) -> Selection | None:
        """The rows with one of the values in each column of `equal` and in each range.

        Args:
            equal: Values that are let through, by column.
            between: Least and greatest number, both included, by column; None: no bound.

        Returns:
            None where nothing was asked for: every row is left.

        Raises:
            KeyError: A column that does not exist.
        """
        conditions: list[_Condition] = [
            self._values[name].among(wanted) for name, wanted in (equal or {}).items()
        ]
        conditions += [
            self._numbers[name].between(*bounds)
            for name, bounds in (between or {}).items()
            if tuple(bounds) != UNBOUND
        ]
        if not conditions:
            return None
        first, *others = sorted(conditions, key=lambda condition: condition.count)
        # Comparing all is quicker than gathering many.
        if first.count * GATHERED > self.items:
            mask = first.holds(slice(None))
            for condition in others:
                mask &= condition.holds(slice(None))
            return Selection(mask=mask)
        rows = first.rows()
        for condition in others:
            rows = rows[condition.holds(rows)]
        if len(rows) <= FEW:
            return Selection(rows=np.sort(rows))
        mask = np.zeros(self.items, bool)
        mask[rows] = True
        return Selection(mask=mask)

    def counts(self, name: str, rows: Array, most: int | None = None) -> dict[str, int]:
        """How often each value of a column stands in the rows, most frequent first (facets).

        Args:
            name: The column.
            rows: Which.
            most: Values that are told; all by default.
        """
        column = self._values[name]
        # Only values that are there: of fifty thousand sellers a few hundred are.
        codes, counts = np.unique(column.codes[rows], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        pairs = zip(column.names[codes[order]], counts[order].tolist(), strict=True)
        return dict(islice(((str(value), n) for value, n in pairs if value is not None), most))

    def extended(
        self,
        rows: Array,
        values: Mapping[str, Sequence[str | None]],
        numbers: Mapping[str, Array],
    ) -> Attributes:
        """A copy in which these rows have these values; rows may lie beyond the last."""
        rows = np.asarray(rows, np.int64)
        items = max(self.items, int(rows.max(initial=-1)) + 1)
        new_values = {}
        for name, column in self._values.items():
            texts = np.full(items, None, object)
            texts[: self.items] = column.texts()
            texts[rows] = np.array(values[name], dtype=object)
            new_values[name] = texts
        new_numbers = {}
        for name, kept in self._numbers.items():
            found = np.full(items, np.nan)
            found[: self.items] = kept.numbers
            found[rows] = numbers[name]
            new_numbers[name] = found
        return Attributes(new_values, new_numbers)

    def save(self, folder: Path) -> None:
        """Write `attributes.json` and one array per column."""
        texts = {name: list(column.names) for name, column in self._values.items()}
        (folder / "attributes.json").write_text(
            json.dumps({"values": texts, "numbers": list(self._numbers)})
        )
        for name, column in self._values.items():
            np.save(folder / f"value_{name}.npy", column.codes)
        for name, numbers in self._numbers.items():
            np.save(folder / f"number_{name}.npy", numbers.numbers)

    @classmethod
    def load(cls, folder: Path) -> Attributes:
        """Read what `save` wrote.

        Raises:
            RetrievalError: A file is missing or torn.
        """
        try:
            said: dict[str, Any] = json.loads((folder / "attributes.json").read_text())
            loaded = cls({}, {n: np.load(folder / f"number_{n}.npy") for n in said["numbers"]})
            loaded._values = {
                name: _Values(np.array(names, object), np.load(folder / f"value_{name}.npy"))
                for name, names in said["values"].items()
            }
        except Exception as error:  # zip, json and numpy raise what they like on torn files
            raise RetrievalError(f"{folder}: attributes cannot be read ({error})") from error
        return loaded


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition on one column: how many rows fulfil it, which, and whether given ones do."""

    count: int
    rows: Any
    holds: Any


class _Values:
    def __init__(self, names: Array, codes: Array) -> None:
        self.names, self.codes = names, codes
        self._code = {name: code for code, name in enumerate(names)}
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))])

    @classmethod
    def of(cls, column: Sequence[str | None] | Array) -> _Values:
        code: dict[str | None, int] = {}
        codes = np.fromiter(
            (code.setdefault(value, len(code)) for value in column), np.int32, len(column)
        )
        names = np.empty(len(code), object)
        names[:] = list(code)
        return cls(names, codes)

    def texts(self) -> Array:
        return np.asarray(self.names[self.codes]) if len(self.names) else np.empty(0, object)

    def among(self, wanted: Collection[str | None]) -> _Condition:
        codes = [self._code[value] for value in set(wanted) if value in self._code]
        slices = [self._order[self._starts[code] : self._starts[code + 1]] for code in codes]
        chosen = np.zeros(len(self.names) + 1, bool)
        chosen[codes] = True
        return _Condition(
            sum(map(len, slices)),
            lambda: np.concatenate([np.empty(0, np.int64), *slices]),
            lambda rows: chosen[self.codes[rows]],
        )


class _Numbers:
    def __init__(self, numbers: Array) -> None:
        self.numbers = numbers.astype(np.float64)
        self._order = np.argsort(self.numbers, kind="stable")
        self._sorted = self.numbers[self._order]
        # NaN is sorted to the end.
        self._known = int(np.searchsorted(self._sorted, np.nan))

    def between(self, least: float | None, greatest: float | None) -> _Condition:
        low = -np.inf if least is None else least
        high = np.inf if greatest is None else greatest
        start = np.searchsorted(self._sorted[: self._known], low, "left")
        end = np.searchsorted(self._sorted[: self._known], high, "right")
        return _Condition(
            max(0, int(end - start)),
            lambda: self._order[start:end],
            lambda rows: (self.numbers[rows] >= low) & (self.numbers[rows] <= high),
        )
