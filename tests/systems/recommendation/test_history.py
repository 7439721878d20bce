from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from agora.items import item_key
from agora.systems.recommendation.history import history_of
from tests.systems.recommendation.shop import asked

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


def event(product: str, kind: str = "click", ago: float | None = None) -> dict:
    at = None if ago is None else NOW - timedelta(seconds=ago)
    return {"product_id": product, "kind": kind, "at": at}


def interests(**steps: tuple[str, float, float]) -> dict[str, float]:
    """Product, kind and age of each numbered step, as features."""
    found = {}
    for number, (product, kind, ago) in enumerate(steps.values(), 1):
        found[f"customer_product_{number}"] = float(item_key(product))
        found[f"customer_kind_{number}"] = kind
        found[f"customer_event_at_{number}"] = NOW.timestamp() - ago
    return found


def newest(**fields: object) -> list[tuple[str, int, float]]:
    """Products, kinds and ages of the history, newest first."""
    names = {float(item_key(name)): name for name in "abcdefg"}
    history = history_of(asked(event_at=NOW, **fields))
    assert history.keys.shape == (1, 24)
    return [
        (names[key], int(kind), round(float(age)))
        for key, kind, age in zip(history.keys[0], history.kinds[0], history.ages[0], strict=True)
        if not np.isnan(key)
    ]


def test_a_visit_comes_before_what_the_store_knows() -> None:
    known = interests(one=("a", 0, 3_600), two=("b", 2, 7_200))
    found = newest(session=[event("c", "click", 60), event("d", "cart", 5)], **known)
    assert found == [("d", 1, 5), ("c", 0, 60), ("a", 0, 3_600), ("b", 2, 7_200)]


def test_what_the_store_has_already_heard_of_the_visit_counts_once() -> None:
    known = interests(one=("c", 0, 61), two=("a", 0, 3_600))
    found = newest(session=[event("c", "click", 60), event("c", "cart", 5)], **known)
    assert found == [("c", 1, 5), ("c", 0, 60), ("a", 0, 3_600)]


def test_without_times_the_last_event_of_a_visit_is_the_newest() -> None:
    assert newest(session=[event("a"), event("b"), event("c", ago=30)]) == [
        ("b", 0, 0), ("a", 0, 0), ("c", 0, 30),
    ]  # fmt: skip


def test_a_clock_that_is_ahead_makes_no_future() -> None:
    assert newest(session=[event("a", ago=-500)]) == [("a", 0, 0)]


def test_nobody_has_no_history() -> None:
    assert newest() == []
    assert newest(session=[]) == []
