"""What is remembered is found by any key, and what is forgotten is what may be."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from agora.streams import history
from agora.streams.history import History
from agora.streams.topics import PAYMENT_EVENTS
from tests.streams.payments import random_payments

PER_CARD = 5


@pytest.fixture
def rows() -> pl.DataFrame:
    frame = random_payments(11, 800, days=20).rename({"sent_at": "arrived_at"})
    frame = frame.unique(["payment_id", "arrived_at"]).sort("arrived_at", "payment_id")
    return frame.with_columns(content=pl.lit(0, pl.UInt64)).select(PAYMENT_EVENTS.columns)


def _filled(rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setattr(history, "LARGEST", 100)
    made = History(PAYMENT_EVENTS)
    sizes = np.random.default_rng(1).integers(1, 40, 1000)
    at = 0
    for size in sizes:
        made.add(rows[at : at + size])
        at += size
    assert len(made) == len(rows)
    return made


@pytest.mark.parametrize("key", PAYMENT_EVENTS.keys[1:])
def test_what_an_entity_needs_is_found_with_all_versions(
    key: str, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _filled(rows, monkeypatch)
    chosen = rows.drop_nulls(key).group_by(key).agg(pl.col("event_at").median().to_physical())
    chosen = chosen.sort(key)[::2]
    since = chosen["event_at"].cast(pl.Int64).to_numpy()
    found = held.about(key, chosen[key], since)
    asked = rows.join(chosen.rename({"event_at": "since"}), on=key)
    needed = asked.filter(pl.col("event_at").to_physical() > pl.col("since"))
    every = rows.filter(pl.col("payment_id").is_in(needed["payment_id"].implode()))
    names = ["payment_id", "arrived_at"]
    assert needed.height > 20
    assert every.height > needed.height
    assert every.join(found, on=names, how="anti").is_empty()
    assert not found.select(names).is_duplicated().any()
    # It is not everything that is held: the look-up costs what it finds.
    assert found.height < rows.height / 2


def test_forgetting_keeps_each_cards_newest_and_whole_corrected_payments(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _filled(rows, monkeypatch)
    times = rows["event_at"].to_physical().sort()
    before, oldest = int(times[600]), int(times[50])
    held.forget(before, oldest, "card_id", PER_CARD)
    assert len(held) < len(rows)
    found = held.about("card_id", rows["card_id"].unique())
    names = ["payment_id", "arrived_at"]
    rank = pl.col("event_at").rank("ordinal", descending=True).over("card_id")
    recent = pl.col("event_at").to_physical() > before
    old_enough = pl.col("event_at").to_physical() > oldest
    must = rows.filter(recent | ((rank <= PER_CARD) & old_enough))
    assert must.join(found, on=names, how="anti").is_empty()
    several = rows.filter(pl.len().over("payment_id") > 1, old_enough)
    assert several.height > 50
    assert several.join(found, on=names, how="anti").is_empty()
    held.forget(int(times[-1]) + 1, int(times[-1]), "card_id", PER_CARD)
    assert len(held) == 0
