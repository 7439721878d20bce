"""Random small histories of what was shown and done, late and corrected in every way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Row = dict[str, Any]
START_AT = datetime(2026, 1, 5, tzinfo=UTC)
LATE_DAYS = (0.0, 0.0, 0.0, 0.0, 0.2, 1.0, 6.5, 25.0, 31.0, 40.0)
KINDS = ("click", "click", "cart", "purchase")


def product_versions(random: np.random.Generator, products: int) -> list[Row]:
    """Records of products; the last product never has one."""
    rows: list[Row] = []
    for number in range(products - 1):
        arrived_at = START_AT + timedelta(days=float(random.uniform(-5, 30)))
        for version in range(random.integers(1, 4)):
            rows.append({
                "product_id": f"product{number}", "merchant_id": "merchant0",
                "category": f"category{random.integers(4)}",
                "title": f"Title {number}.{version}", "description": None,
                "price": round(float(random.gamma(2, 30)) + 0.01, 2), "currency": "EUR",
                "stock": int(random.integers(0, 9)),
                "event_at": arrived_at - timedelta(days=float(random.uniform(0, 10))),
                "arrived_at": arrived_at,
            })  # fmt: skip
            arrived_at += timedelta(days=float(random.uniform(0.1, 20)))
    return rows


def impression_versions(random: np.random.Generator, count: int, days: int) -> list[Row]:
    """Impressions and their corrections."""
    rows: list[Row] = []
    for number in range(count):
        row = {
            "impression_id": f"i{number}", "list_id": f"l{number // 4}", "surface": "home",
            "session_id": f"s{number // 8}", "customer_id": _customer(random),
            "product_id": _product(random, number), "position": 1 + number % 4,
            "propensity": 0.25, "query": None, **_times(random, days),
        }  # fmt: skip
        rows += _versions(random, row, [
            {"position": int(random.integers(1, 50))},
            {"product_id": _product(random, number)},
            {"event_at": row["event_at"] - timedelta(days=float(random.choice([0.5, 1, 35])))},
        ])  # fmt: skip
    return rows


def interaction_versions(random: np.random.Generator, count: int, days: int) -> list[Row]:
    """Clicks, carts and purchases with their corrections; some in the same microsecond."""
    rows: list[Row] = []
    bursts = [_times(random, days)["event_at"] for _ in range(count // 8)]
    for number in range(count):
        row = {
            "interaction_id": f"a{number}",
            "list_id": f"l{number // 4}" if random.random() < 0.7 else None,
            "session_id": f"s{number // 8}", "customer_id": _customer(random),
            "product_id": _product(random, number), "kind": str(random.choice(KINDS)),
            **_times(random, days),
        }  # fmt: skip
        if random.random() < 0.5:
            minutes = timedelta(minutes=int(random.choice([0, 0, 1, 30])))
            row["event_at"] = bursts[random.integers(len(bursts))] + minutes
            row["arrived_at"] = row["event_at"] + timedelta(seconds=int(random.choice([0, 0, 30])))
        rows += _versions(random, row, [
            {"kind": str(random.choice(KINDS))},
            {"customer_id": _customer(random)},
            {"product_id": _product(random, number), "list_id": None},
            {"event_at": row["event_at"] - timedelta(days=float(random.choice([0.01, 1, 35])))},
        ])  # fmt: skip
    return rows


def _versions(random: np.random.Generator, row: Row, corrections: list[Row]) -> list[Row]:
    rows = [row]
    while random.random() < 0.2:
        later = rows[-1]["arrived_at"] + timedelta(days=float(random.choice([0.001, 0.5, 2, 20])))
        changed = corrections[random.integers(len(corrections))]
        rows.append({**rows[-1], **changed, "arrived_at": later})
    return rows


def _times(random: np.random.Generator, days: int) -> Row:
    """When it happened and arrived: now and then at midnight, or ahead of the platform's clock."""
    event_at = START_AT + timedelta(microseconds=int(random.uniform(0, days - 1) * 864e8))
    if random.random() < 0.1:
        event_at = event_at.replace(hour=0, minute=0, second=0, microsecond=0)
    late = timedelta(days=float(random.choice(LATE_DAYS)))
    if random.random() < 0.05:
        late = -timedelta(hours=float(random.uniform(0, 20)))
    return {"event_at": event_at, "arrived_at": max(event_at + late, START_AT)}


def _customer(random: np.random.Generator) -> str | None:
    return None if random.random() < 0.15 else f"customer{random.integers(5)}"


def _product(random: np.random.Generator, number: int) -> str:
    # One product is met so seldom that days pass without a row of it.
    return f"product{random.integers(6)}" if number % 60 else "product_seldom_met"
