"""What was shown, clicked and bought, by brute force: at each midnight look at all that was known.

The definitions of the models are repeated here in the plainest words and with none of their tricks.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import log2
from typing import Any

from agora.items import item_key

Row = dict[str, Any]
Tables = dict[str, list[Row]]
KINDS = ("click", "cart", "purchase")
PRIOR = 10


def product_rows(tables: Tables, start: date, end: date) -> list[Row]:
    """One row per product and day of [start, end)."""
    rows = []
    for midnight in midnights(start, end):
        shown, was_shown = known_at(tables["impressions"], "impression_id", midnight)
        acted, was_acted = known_at(tables["interactions"], "interaction_id", midnight)
        rates = {
            kind: in_lists(acted, kind, midnight) / looks(shown, midnight)
            for kind in ("click", "purchase")
            if looks(shown, midnight)
        }
        for name in named([*was_shown, *was_acted], "product_id", midnight):
            own = [row for row in acted if row["product_id"] == name]
            seen = [row for row in shown if row["product_id"] == name]
            bought = [row["event_at"] for row in inside(own, midnight, 90, "purchase")]
            counts = {f"impression_count_{d}d": len(inside(seen, midnight, d)) for d in (1, 7, 30)}
            month = inside(own, midnight, 30)
            rows.append({
                "product_id": name, **heads(midnight), **counts,
                **counted(own, midnight, (1, 7, 30)),
                **{
                    f"{kind}_rate_30d": (in_lists(own, kind, midnight) + PRIOR * rate)
                    / (looks(seen, midnight) + PRIOR)
                    for kind, rate in ({"click": 0, "purchase": 0} | rates).items()
                },
                **({} if rates else {"click_rate_30d": None, "purchase_rate_30d": None}),
                "days_since_purchase": (midnight - max(bought)) / timedelta(days=1)
                if bought else None,
                "customer_count_30d": len({row["customer_id"] for row in month} - {None}),
            })  # fmt: skip
    return rows


def shopper_rows(tables: Tables, start: date, end: date) -> list[Row]:
    """One row per customer and day of [start, end)."""
    rows = []
    for midnight in midnights(start, end):
        acted, known = known_at(tables["interactions"], "interaction_id", midnight)
        for name in named(known, "customer_id", midnight):
            own = [row for row in acted if row["customer_id"] == name]
            clicked = [_record(tables, row) for row in inside(own, midnight, 30, "click")]
            prices = [record["price"] for record in clicked if record]
            met = [_record(tables, row) for row in inside(own, midnight, 30)]
            rows.append({
                "customer_id": name, **heads(midnight),
                **counted(own, midnight, (7, 30)),
                "clicked_price_mean_30d": sum(prices) / len(prices) if prices else None,
                "category_count_30d": len({record["category"] for record in met if record}),
            })  # fmt: skip
    return rows


def interests(interactions: list[Row], day: date) -> Row:
    """The 24 latest interactions of the 60 days before the day, the newest first."""
    first = datetime.combine(day, time(), UTC) - timedelta(days=60)
    newest = [row for row in interactions if row["event_at"] >= first]
    newest.sort(key=lambda row: (row["event_at"], row["interaction_id"]), reverse=True)
    found: Row = {}
    for place in range(24):
        row = newest[place] if place < len(newest) else None
        found |= {
            f"product_{place + 1}": row and item_key(row["product_id"]),
            f"kind_{place + 1}": row and KINDS.index(row["kind"]),
            f"event_at_{place + 1}": row and row["event_at"].timestamp(),
        }
    return found


def midnights(start: date, end: date) -> list[datetime]:
    """The midnights that close the days [start, end)."""
    first = datetime.combine(start, time(), UTC)
    return [first + timedelta(days=number + 1) for number in range((end - start).days)]


def known_at(rows: list[Row], key: str, midnight: datetime) -> tuple[list[Row], list[Row]]:
    """The versions that hold at a midnight, and all that had arrived by then."""
    known = [row for row in rows if row["arrived_at"] < midnight]
    best: dict[str, Row] = {}
    for row in known:
        if row[key] not in best or best[row[key]]["arrived_at"] < row["arrived_at"]:
            best[row[key]] = row
    return list(best.values()), known


def named(rows: list[Row], key: str, midnight: datetime) -> list[str]:
    """Whom versions of the last 31 days name."""
    return sorted({row[key] for row in inside(rows, midnight, 31)} - {None})


def inside(rows: list[Row], midnight: datetime, days: int, kind: str | None = None) -> list[Row]:
    """Rows of the days before the midnight, of one kind or of all."""
    first = midnight - timedelta(days=days)
    of_kind = [row for row in rows if kind is None or row["kind"] == kind]
    return [row for row in of_kind if first <= row["event_at"] < midnight]


def counted(rows: list[Row], midnight: datetime, windows: tuple[int, ...]) -> Row:
    """Clicks, carts and purchases of each window."""
    return {
        f"{kind}_count_{days}d": len(inside(rows, midnight, days, kind))
        for kind in KINDS
        for days in windows
    }


def looks(impressions: list[Row], midnight: datetime) -> float:
    """How many looks the places of 30 days' impressions promise."""
    month = inside(impressions, midnight, 30)
    return sum(round(1 / log2(row["position"] + 1), 6) for row in month)


def in_lists(interactions: list[Row], kind: str, midnight: datetime) -> int:
    """Interactions of a kind that came out of a list, of 30 days."""
    return sum(row["list_id"] is not None for row in inside(interactions, midnight, 30, kind))


def heads(midnight: datetime) -> Row:
    """The times of a day's row."""
    day = (midnight - timedelta(days=1)).date()
    return {"feature_at": midnight, "arrived_at": midnight, "feature_date": day}


def _record(tables: Tables, interaction: Row) -> Row | None:
    """The product's record that was known when the interaction arrived."""
    known = [
        row
        for row in tables["products"]
        if row["product_id"] == interaction["product_id"]
        and row["arrived_at"] <= interaction["arrived_at"]
    ]
    return max(known, key=lambda row: row["arrived_at"], default=None)
