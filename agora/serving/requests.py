"""Requests: from what a caller sent to a validated request, and from there to columns.

One codec per system, made from its request model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.columns import RequestLayout
from agora.serving.fields import DTYPES, Fields, Kind, RequestError, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.features import Entity
    from agora.system import System

__all__ = ["DTYPES", "Kind", "RequestError", "Requests"]


class Requests(Fields):
    """Reads requests of one system.

    The first field of the request model is its id. `event_at`, where the model has it, is the time
    that features are read as of; else that is now. Lists and objects become columns of plain lists
    and dictionaries.

    Attributes:
        model: The request model.
        kinds: Kind of each field's column.
        dtypes: Type of each field's column.
        id_field: The request's id.
        layout: Where a request's columns are found.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system.request)
        self.entities: Mapping[Entity, str] = system.entities
        self.id_field = next(iter(self.kinds))
        self.layout = RequestLayout(
            system.feature_sets, self.strings, self.numbers, self.times,
            objects=dict.fromkeys(self.objects, plain),
        )  # fmt: skip

    def cast(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Batch rows with the same columns and types as single requests, and `event_at`.

        Lists and objects may also be JSON text.
        """
        dtypes = {**self.dtypes, "event_at": DTYPES["time"]}
        missing = sorted(dtypes.keys() - set(frame.columns))
        if missing:
            raise RequestError(missing[0], "the column is missing", f"Add {', '.join(missing)}.")
        return frame.select(
            pl.col(name).str.json_decode(dtype)
            if dtype.is_nested() and frame.schema[name] == pl.String
            else pl.col(name).cast(dtype)
            for name, dtype in dtypes.items()
        )
