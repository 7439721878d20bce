"""The feature tables by brute force: for each row, look at everything that was known and count.

The definitions of the models are repeated here in the plainest words and with none of their tricks.
"""

from __future__ import annotations

import statistics
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from agora.entities.sequences import merchant_bucket
from tests.dbt.labels_oracle import resolved_rows
from tests.dbt.shopping_oracle import interests, product_rows, shopper_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from agora.features import FeatureSet

Row = dict[str, Any]
DELAY = timedelta(days=7)
WINDOWS = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "24h": timedelta(hours=24)}


class Oracle:
    """Answers for one history."""

    def __init__(self, history: dict[str, pl.DataFrame]) -> None:
        self.tables = {name: frame.to_dicts() for name, frame in history.items()}
        self.labels = [
            {**row, "is_fraud": True, "rank": 1}
            for row in self.tables["chargebacks"]
            if row["reason"] == "fraud"
        ] + [{**row, "rank": 0} for row in self.tables["verdicts"]]

    def expected(self, feature_set: FeatureSet, start: date, end: date) -> list[Row]:
        """Rows of a feature table for the days [start, end)."""
        entity = feature_set.entity.name
        if feature_set.name.endswith("__recent"):
            rows = self._recent(entity, start, end)
        elif feature_set.name.endswith("__sequence"):
            rows = self._sequence(entity, start, end)
        elif feature_set.name.endswith("__interests"):
            rows = self._interests(entity, start, end)
        elif feature_set.name.endswith("__shopping"):
            rows = shopper_rows(self.tables, start, end)
        elif entity == "product":
            rows = product_rows(self.tables, start, end)
        elif feature_set.name.endswith("__labels"):
            payments = self.tables["payments"]
            rows = resolved_rows(payments, self.labels, self._usual_amount, start, end)
        else:
            rows = self._daily(entity, start, end)
        heads = (f"{entity}_id", "feature_at", "arrived_at", "feature_date")
        return [{name: row[name] for name in (*heads, *feature_set.names)} for row in rows]

    def _daily(self, entity: str, start: date, end: date) -> list[Row]:
        key, rows = f"{entity}_id", []
        for number in range((end - start).days):
            day = start + timedelta(days=number)
            midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
            known = [row for row in self.tables["payments"] if row["arrived_at"] < midnight]
            valid = newest(known, "payment_id")
            frauds = self._frauds(midnight)
            month = midnight - timedelta(days=31)
            names = {row[key] for row in known if month <= row["event_at"] < midnight}
            names |= {
                row[key] for row in known if frauds.get(row["payment_id"], (month, 0))[0] > month
            }
            for name in sorted(names - {None}):
                own = [row for row in valid if row[key] == name]
                rows.append({
                    key: name, "feature_at": midnight, "arrived_at": midnight, "feature_date": day,
                    **spending(own, midnight),
                    **risk(own, frauds, midnight),
                    **self._record(entity, name, midnight),
                })  # fmt: skip
        return rows

    def _frauds(self, midnight: datetime) -> dict[str, tuple[datetime, bool]]:
        """Per payment once called fraud: since when, and whether the standing label says so."""
        known = [label for label in self.labels if label["arrived_at"] < midnight]
        found = {}
        for payment in {label["payment_id"] for label in known if label["is_fraud"]}:
            own = [label for label in known if label["payment_id"] == payment]
            standing = max(
                own, key=lambda label: (label["rank"], label["arrived_at"], label["is_fraud"])
            )
            first = min(label["arrived_at"] for label in own if label["is_fraud"])
            found[payment] = (first, standing["is_fraud"])
        return found

    def _record(self, entity: str, name: str, midnight: datetime) -> Row:
        versions = [
            row
            for row in self.tables.get(f"{entity}s", [])
            if row[f"{entity}_id"] == name and row["arrived_at"] < midnight
        ]
        if not versions:
            return dict.fromkeys(
                ("latitude", "longitude", "home_latitude", "home_longitude", "age_days")
            )
        last = max(versions, key=lambda row: row["arrived_at"])
        age = midnight - min(row["event_at"] for row in versions)
        place = {"latitude": last.get("latitude"), "longitude": last.get("longitude")}
        return {
            **place,
            **{f"home_{name}": value for name, value in place.items()},
            "age_days": age / timedelta(days=1),
        }

    def _usual_amount(self, customer: str, midnight: datetime) -> float | None:
        known = [row for row in self.tables["payments"] if row["arrived_at"] < midnight]
        own = [row for row in newest(known, "payment_id") if row["customer_id"] == customer]
        mean: float | None = spending(own, midnight)["amount_mean_30d"]
        return mean

    def _recent(self, entity: str, start: date, end: date) -> list[Row]:
        return [
            {**heads, **short(own, heads["feature_at"])}
            for heads, own in self._moments(entity, start, end)
        ]

    def _sequence(self, entity: str, start: date, end: date) -> list[Row]:
        return [
            {**heads, **sequence(own, heads["feature_date"])}
            for heads, own in self._moments(entity, start, end)
        ]

    def _interests(self, entity: str, start: date, end: date) -> list[Row]:
        return [
            {**heads, **interests(own, heads["feature_date"])}
            for heads, own in self._moments(entity, start, end, "interactions")
        ]

    def _moments(
        self, entity: str, start: date, end: date, table: str = "payments"
    ) -> Iterator[tuple[Row, list[Row]]]:
        """When versions of an entity's events arrived, with its events as they then stood."""
        key, event, events = f"{entity}_id", f"{table[:-1]}_id", self.tables[table]
        moments = {
            (row[key], arriving["arrived_at"])
            for arriving in events
            for row in events
            if start <= arriving["arrival_date"] < end
            and row[event] == arriving[event]
            and row["arrived_at"] <= arriving["arrived_at"]
            and row[key] is not None
        }
        for name, moment in moments:
            known = [row for row in events if row["arrived_at"] <= moment]
            frontier = max(row["event_at"] for row in known if row[key] == name)
            heads = {
                key: name, "feature_at": frontier, "arrived_at": moment,
                "feature_date": moment.date(),
            }  # fmt: skip
            yield heads, [row for row in newest(known, event) if row[key] == name]


def newest(rows: list[Row], key: str) -> list[Row]:
    """The newest arrived version of each key."""
    best: dict[str, Row] = {}
    for row in rows:
        if row[key] not in best or best[row[key]]["arrived_at"] < row["arrived_at"]:
            best[row[key]] = row
    return list(best.values())


def spending(payments: list[Row], midnight: datetime) -> Row:
    """Counts, sums and means up to the midnight."""
    found: Row = {}
    for days in (1, 7, 30):
        first = midnight - timedelta(days=days)
        inside = [row for row in payments if first <= row["event_at"] < midnight]
        amounts = [row["amount"] for row in inside]
        found[f"payment_count_{days}d"] = len(inside)
        found[f"amount_sum_{days}d"] = sum(amounts)
        found[f"amount_mean_{days}d"] = sum(amounts) / len(amounts) if amounts else None
    found["amount_std_30d"] = statistics.stdev(amounts) if len(amounts) > 1 else None
    found["amount_max_30d"] = max(amounts, default=None)
    week, month = found["amount_mean_7d"], found["amount_mean_30d"]
    found["amount_mean_ratio_7d_30d"] = week / month if week is not None and month else None
    count = found["payment_count_30d"]
    found["payment_count_ratio_1d_30d"] = found["payment_count_1d"] * 30 / count if count else None
    nights = sum(row["event_at"].hour < 6 for row in inside)
    found["night_share_30d"] = nights / count if count else None
    for other in ("merchant", "device", "customer", "card"):
        found[f"{other}_count_30d"] = len({row[f"{other}_id"] for row in inside} - {None})
    return found


def risk(payments: list[Row], frauds: dict[str, tuple[datetime, bool]], midnight: datetime) -> Row:
    """Frauds by arrival of the label, and their share of the payments one delay earlier."""
    found: Row = {}
    known = [
        frauds[row["payment_id"]][0]
        for row in payments
        if frauds.get(row["payment_id"], (0, False))[1]
    ]
    for days in (1, 7, 30):
        first = midnight - timedelta(days=days)
        count = sum(first <= moment < midnight for moment in known)
        before = sum(first - DELAY <= row["event_at"] < midnight - DELAY for row in payments)
        found[f"fraud_count_{days}d"] = count
        found[f"fraud_share_{days}d"] = count / before if before else 0
    return found


def short(payments: list[Row], frontier: datetime) -> Row:
    """The short windows that end at the frontier, which is included."""
    found: Row = {}
    for name, length in WINDOWS.items():
        inside = [row for row in payments if frontier - length < row["event_at"] <= frontier]
        found[f"payment_count_{name}"] = len(inside)
        found[f"amount_sum_{name}"] = sum(row["amount"] for row in inside)
        for other in ("merchant", "card"):
            found[f"{other}_count_{name}"] = len({row[f"{other}_id"] for row in inside} - {None})
    last = max(inside, key=lambda row: (row["event_at"], row["payment_id"]), default={})
    return {
        **found,
        **{f"last_{name}": last.get(name) for name in ("amount", "latitude", "longitude")},
    }


def sequence(payments: list[Row], day: date) -> Row:
    """The 16 latest payments of the 60 days before the day, the newest first."""
    first = datetime.combine(day, time(), UTC) - timedelta(days=60)
    inside = [row for row in payments if row["event_at"] >= first]
    inside.sort(key=lambda row: (row["event_at"], row["payment_id"]), reverse=True)
    found: Row = {}
    for place in range(16):
        row = inside[place] if place < len(inside) else None
        found |= {
            f"amount_{place + 1}": row and row["amount"],
            f"event_at_{place + 1}": row and row["event_at"].timestamp(),
            f"merchant_{place + 1}": row and merchant_bucket(row["merchant_id"]),
            f"channel_{place + 1}": row and ("web", "app", "in_store").index(row["channel"]),
            f"latitude_{place + 1}": row and row["latitude"],
            f"longitude_{place + 1}": row and row["longitude"],
        }
    return found
