from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.stores.lake import Lake
from agora.systems.fraud.dataset import labelled, requests

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Payment a is corrected the next day; b is judged, then charged back; c stays unlabelled."""
    folder: Path = tmp_path_factory.mktemp("lake")
    lake = Lake(str(folder))
    versions = [
        ("a", 10.0, START, START),
        ("a", 99.0, START, START + DAY),
        ("b", 20.0, START + HOUR, START + HOUR),
        ("c", 30.0, START + DAY, START + DAY),
    ]
    rows = pl.DataFrame(
        versions, schema=["payment_id", "amount", "event_at", "arrived_at"], orient="row"
    )
    text = ("customer_id", "card_id", "merchant_id", "currency", "channel")
    rows = rows.with_columns(
        *(pl.lit("x").alias(name) for name in text),
        *(pl.lit(None, pl.String).alias(name) for name in ("device_id", "country")),
        *(pl.lit(None, pl.Float64).alias(name) for name in ("latitude", "longitude")),
        arrival_date=pl.col("arrived_at").dt.date(),
    )
    lake.write("marts/payments", rows)
    labels = [
        ("b", False, "verdict", START + 2 * HOUR),
        ("b", True, "chargeback", START + 5 * DAY),
        ("b", False, "verdict", START + 6 * DAY),
    ]
    found = pl.DataFrame(
        labels, schema=["payment_id", "is_fraud", "source", "arrived_at"], orient="row"
    )
    lake.write("marts/payment_labels", found.with_columns(event_at="arrived_at"))
    return lake


def by_payment(frame: pl.DataFrame, column: str) -> dict[str, object]:
    return dict(zip(frame["payment_id"], frame[column], strict=True))


def test_a_payment_is_its_first_version(lake: Lake) -> None:
    assert by_payment(labelled(lake, START + 9 * DAY), "amount") == {"a": 10, "b": 20, "c": 30}


def test_only_what_had_arrived_is_known(lake: Lake) -> None:
    early = labelled(lake, START + 3 * HOUR)
    assert early["payment_id"].to_list() == ["a", "b"]
    assert by_payment(early, "label_arrived_at") == {"a": None, "b": START + 2 * HOUR}


def test_a_chargeback_outranks_every_verdict(lake: Lake) -> None:
    assert by_payment(labelled(lake, START + DAY), "is_fraud")["b"] is False
    assert by_payment(labelled(lake, START + 5 * DAY), "is_fraud")["b"] is True
    assert by_payment(labelled(lake, START + 7 * DAY), "is_fraud")["b"] is True


def test_a_day_asks_for_the_payments_that_first_arrived_on_it(lake: Lake) -> None:
    assert requests(lake, date(2026, 3, 1))["payment_id"].to_list() == ["a", "b"]
    assert requests(lake, date(2026, 3, 2))["payment_id"].to_list() == ["c"]
    assert requests(lake, date(2026, 3, 3)).height == 0
