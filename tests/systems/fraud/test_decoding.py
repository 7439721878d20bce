from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from agora.pipeline import columns_of
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.decoding import READ, decode, learn_codes
from agora.systems.fraud.features import (
    AGED,
    AGED_SET,
    INPUTS,
    RECENT_SETS,
    TEXTS,
    WINDOW_SECONDS,
    WINDOWED,
)
from tests.systems.synthetic import rows

CODES = {"channel": {"web": 0.0, "app": 1.0}, "currency": {"EUR": 0.0}, "country": {"FR": 0.0}}


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return rows(SYSTEM, 200)


@pytest.fixture(scope="module")
def decoded(frame: pl.DataFrame) -> list[dict[str, float]]:
    matrix = decode(columns_of(frame), CODES)
    return [dict(zip(INPUTS, row, strict=False)) for row in matrix.tolist()]


@pytest.fixture(scope="module")
def raw(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dicts()


def test_every_input_has_a_name_of_its_own_and_a_text() -> None:
    assert len(set(INPUTS)) == len(INPUTS)
    assert set(INPUTS) <= set(TEXTS)


def test_recent_windows_end_at_this_payment_and_hold_it(
    raw: list[dict[str, Any]], decoded: list[dict[str, float]]
) -> None:
    time_of = {column: s.time_column for s in RECENT_SETS for column in s.columns}
    for before, after in zip(raw, decoded, strict=True):
        for name in WINDOWED:
            latest = before[time_of[name]]
            age = (before["event_at"] - latest).total_seconds() if latest else math.inf
            kept = before[name] if age <= WINDOW_SECONDS[name.rpartition("_")[2]] else 0.0
            own = 1.0 if "payment_count" in name else 0.0
            own = before["amount"] if "amount_sum" in name else own
            assert after[name] == pytest.approx(kept + own)


def test_days_of_the_merchants_labels_count_on_to_the_payment(
    raw: list[dict[str, Any]], decoded: list[dict[str, float]]
) -> None:
    for before, after in zip(raw, decoded, strict=True):
        latest = before[AGED_SET.time_column]
        days = (before["event_at"] - latest).total_seconds() / 86_400 if latest else math.nan
        for name in AGED:
            assert after[name] == pytest.approx(before[name] + days, nan_ok=True)


def test_ratios_and_deviations_are_those_of_the_own_history(
    raw: list[dict[str, Any]], decoded: list[dict[str, float]]
) -> None:
    for before, after in zip(raw, decoded, strict=True):
        for entity in ("customer", "card", "merchant", "device"):
            past = before[f"{entity}_amount_mean_30d"]
            expected = before["amount"] / past if past and past > 0 else math.nan
            found = after[f"{entity}_amount_over_amount_mean_30d"]
            assert found == pytest.approx(expected, nan_ok=True)
            spread = before[f"{entity}_amount_std_30d"]
            expected = (before["amount"] - past) / spread if spread and spread > 0 else math.nan
            assert after[f"{entity}_amount_deviation"] == pytest.approx(expected, nan_ok=True)


def test_distances_are_great_circles(
    raw: list[dict[str, Any]], decoded: list[dict[str, float]]
) -> None:
    places = {
        "distance_home": "customer_home_",
        "distance_merchant": "merchant_",
        "distance_last": "customer_last_",
    }
    for before, after in zip(raw, decoded, strict=True):
        for name, to in places.items():
            here = (before["latitude"], before["longitude"])
            there = (before[f"{to}latitude"], before[f"{to}longitude"])
            corners = [math.nan if angle is None else angle for angle in (*here, *there)]
            unknown = any(map(math.isnan, corners))
            expected = math.nan if unknown else _kilometres(*corners)
            assert after[name] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_paris_is_344_kilometres_from_london(frame: pl.DataFrame) -> None:
    places = {
        "latitude": 48.8566, "longitude": 2.3522,
        "customer_home_latitude": 51.5074, "customer_home_longitude": -0.1278,
    }  # fmt: skip
    one = frame.head(1).with_columns(**{name: pl.lit(value) for name, value in places.items()})
    matrix = decode(columns_of(one), CODES)
    assert matrix[0, INPUTS.index("distance_home")] == pytest.approx(343.6, abs=0.5)


@pytest.mark.parametrize(
    ("stamp", "hour", "weekday", "is_weekend", "is_night"),
    [
        ("2026-03-01T00:30:00+00:00", 0.5, 6, 1, 1),
        ("2026-03-02T12:00:00+00:00", 12, 0, 0, 0),
        ("1969-12-31T23:00:00+00:00", 23, 2, 0, 0),
    ],
)
def test_the_clock_is_utc(
    frame: pl.DataFrame, stamp: str, hour: float, weekday: int, is_weekend: int, is_night: int
) -> None:
    one = frame.head(1).with_columns(event_at=pl.lit(stamp).str.to_datetime("%+"))
    found = dict(zip(INPUTS, decode(columns_of(one), CODES)[0], strict=False))
    assert (found["hour"], found["weekday"]) == (hour, weekday)
    assert (found["is_weekend"], found["is_night"]) == (is_weekend, is_night)


def test_values_never_seen_in_training_are_unknown(frame: pl.DataFrame) -> None:
    matrix = decode(columns_of(frame), CODES)
    channel = matrix[:, INPUTS.index("channel")]
    assert np.isnan(channel[(frame["channel"] == "in_store").to_numpy()]).all()
    assert (channel[(frame["channel"] == "app").to_numpy()] == 1).all()


def test_codes_are_numbered_by_how_common_the_values_are() -> None:
    values = np.array(["b"] * 3 + ["a"] * 5 + ["c", None], dtype=object)
    codes = learn_codes({"channel": values, "currency": values, "country": values}, rarest=2)
    assert codes["country"] == {"a": 0.0, "b": 1.0}


def test_decoding_changes_none_of_its_columns(frame: pl.DataFrame) -> None:
    columns = columns_of(frame)
    before = {name: columns[name].copy() for name in READ}
    decode(columns, CODES)
    for name, values in before.items():
        if values.dtype == object:
            assert (values == columns[name]).all()
        else:
            assert np.array_equal(values, columns[name], equal_nan=values.dtype == np.float64)


def _kilometres(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Spherical law of cosines: another formula for the same distance."""
    a, b, c = math.radians(lat1), math.radians(lat2), math.radians(lon2 - lon1)
    cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(c)
    return 6_371 * math.acos(max(-1.0, min(1.0, cosine)))
