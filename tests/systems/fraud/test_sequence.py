from __future__ import annotations

import numpy as np
import pytest

from agora.entities.cards import CARDS_SEQUENCE
from agora.entities.sequences import merchant_bucket
from agora.systems.fraud.sequence import (
    CHANNELS,
    FIELDS,
    LENGTH,
    PRESENT_COLUMNS,
    SEQUENCE_COLUMNS,
    STEP_INPUTS,
    SUMMARIES,
    Steps,
    request_columns,
    steps,
)

NOON = 1_750_000_000 // 86_400 * 86_400 + 43_200.0
HOUR, DAY = 3_600.0, 86_400.0
Payment = tuple[float, float, float, float, float, float]
NOW: Payment = (100.0, NOON, 7.0, 0.0, 48.0, 2.0)


def sequence(*past: Payment, now: Payment = NOW) -> np.ndarray:
    """A raw row: past payments newest first, then the present one."""
    missing = [(np.nan,) * FIELDS] * (LENGTH - len(past))
    return np.concatenate([*past, *missing, now])[None].astype(float)


def value(found: Steps, name: str, step: int) -> float:
    return float(found.inputs[0, step, STEP_INPUTS.index(name)])


def summary(found: Steps, name: str) -> float:
    return float(found.summary[0, SUMMARIES.index(name)])


def test_columns_are_those_of_the_set_then_the_present_payment_in_the_same_fields() -> None:
    fields = ("amount", "event_at", "merchant", "channel", "latitude", "longitude")
    assert CARDS_SEQUENCE.names == tuple(f"{f}_{k}" for k in range(1, LENGTH + 1) for f in fields)
    assert (*CARDS_SEQUENCE.columns, *PRESENT_COLUMNS) == SEQUENCE_COLUMNS


def test_the_present_payment_has_the_codes_of_the_past_ones() -> None:
    columns = {
        "amount": np.array([12.5, 3.0]),
        "event_at": np.array([1_750_000_000_500_000, 1_750_000_001_000_000]),
        "merchant_id": np.array(["m-1", None], object),
        "channel": np.array(["in_store", "pigeon"], object),
        "latitude": np.array([48.0, np.nan]),
        "longitude": np.array([2.0, np.nan]),
    }
    expected = [
        [12.5, 1_750_000_000.5, merchant_bucket("m-1"), CHANNELS["in_store"], 48.0, 2.0],
        [3.0, 1_750_000_001.0] + [np.nan] * 4,
    ]
    np.testing.assert_array_equal(request_columns(columns), expected)


def test_a_step_says_how_it_differs_from_the_present_payment() -> None:
    found = steps(
        sequence(
            (50.0, NOON - HOUR, 7.0, 1.0, 48.0, 2.0),
            (200.0, NOON - 25 * HOUR, 9.0, 0.0, 49.0, 2.0),
        )
    )
    assert value(found, "amount", 1) == pytest.approx(np.log1p(50))
    assert value(found, "amount_ratio", 1) == pytest.approx(np.log(101 / 51))
    assert value(found, "gap_to_now", 2) == pytest.approx(np.log1p(25 * HOUR))
    assert value(found, "gap_before", 0) == pytest.approx(np.log1p(HOUR))
    assert value(found, "gap_before", 1) == pytest.approx(np.log1p(24 * HOUR))
    assert value(found, "time_of_day_apart", 2) == pytest.approx(np.cos(2 * np.pi / 24))
    assert [value(found, "same_merchant", k) for k in (0, 1, 2)] == [1, 1, 0]
    assert [value(found, "is_app", k) for k in (0, 1, 2)] == [0, 1, 0]
    assert [value(found, "same_channel", k) for k in (0, 1, 2)] == [1, 0, 1]
    assert value(found, "distance", 1) == 0
    assert value(found, "distance", 2) == pytest.approx(np.log1p(111.19), abs=1e-3)
    assert found.known[0].tolist() == [True] * 3 + [False] * (LENGTH - 2)


def test_the_summary_counts_payments_above_the_card_s_usual_amount() -> None:
    ordinary = [(20.0, NOON - k * DAY, 5.0, 0.0, 48.0, 2.0) for k in range(4, 12)]
    leaked = [(90.0, NOON - k * DAY, 7.0, 0.0, 48.0, 2.0) for k in (0.02, 2)]
    found = steps(sequence(*leaked, *ordinary))
    assert summary(found, "steps") == 10
    assert summary(found, "amount_over_median") == 5
    assert summary(found, "largest_over_median") == 4.5
    assert [summary(found, f"high_{k}d") for k in (1, 3, 7, 14)] == [1, 2, 2, 2]
    assert summary(found, "days_since_high") == pytest.approx(0.02)
    assert [summary(found, f"payments_{span}") for span in ("1h", "1d")] == [1, 1]
    assert summary(found, "same_merchant") == 2
    assert summary(found, "hour_cosine") == pytest.approx(-1)


def test_a_card_s_first_payment_has_one_step_and_nothing_infinite() -> None:
    found = steps(sequence(now=(1e7, NOON, np.nan, np.nan, np.nan, np.nan)))
    assert found.known.sum() == 1
    assert found.inputs[0, 1:].any(axis=1).sum() == 0
    assert np.isfinite(found.inputs).all()
    assert not np.isinf(found.summary).any()


def test_a_row_is_seen_alike_alone_and_among_others() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [
            sequence(*[tuple(rng.uniform(1, 50, FIELDS)) for _ in range(k)])  # type: ignore[misc]
            for k in rng.integers(0, LENGTH + 1, 50)
        ]
    )
    together = steps(rows)
    for k in range(len(rows)):
        alone = steps(rows[k : k + 1])
        for name in ("inputs", "known", "summary"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[k])
