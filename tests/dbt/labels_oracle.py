"""What became known of each merchant's payments, by brute force: replay all moments and count."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

Row = dict[str, Any]
DELAY, FORGOTTEN = timedelta(days=7), timedelta(days=60)
STANDS_OUT = 2.5


def resolved_rows(
    payments: list[Row],
    labels: list[Row],
    usual: Callable[[str, datetime], float | None],
    start: date,
    end: date,
) -> list[Row]:
    """One row per merchant and moment of the days [start, end) at which a payment resolved.

    Args:
        payments: All versions of all payments.
        labels: All labels, a chargeback of a higher `rank` than a verdict.
        usual: A customer's mean amount of 30 days as known at a midnight.
        start: First day.
        end: Day after the last.
    """
    changes = [
        change
        for payment in {row["payment_id"] for row in payments}
        for change in replay(
            [row for row in payments if row["payment_id"] == payment],
            [label for label in labels if label["payment_id"] == payment],
        )
    ]
    for change in changes:
        mean = usual(change["customer_id"], midnight_before(change["event_at"]))
        outstanding = mean is not None and change["amount"] > STANDS_OUT * mean
        change["is_plain"] = change["is_fraud"] and not outstanding
    moments = {(change["merchant_id"], change["at"]) for change in changes}
    return [
        {
            "merchant_id": merchant, "feature_at": moment, "arrived_at": moment,
            "feature_date": moment.date(),
            **state([c for c in changes if c["merchant_id"] == merchant], moment),
        }
        for merchant, moment in moments
        if start <= moment.date() < end
    ]  # fmt: skip


def replay(versions: list[Row], labels: list[Row]) -> Iterator[Row]:
    """The moments at which what one payment counts as changed, each with what it changed to."""
    arrived_at = min(row["arrived_at"] for row in versions)
    moments = {max(label["arrived_at"], arrived_at) for label in labels}
    moments |= {row["arrived_at"] for row in versions}
    moments |= {row["event_at"] + DELAY for row in versions}
    payment: Row = {}
    is_fraud = None
    for moment in sorted(moments):
        known = [row for row in versions if row["arrived_at"] <= moment]
        if not known:
            continue
        valid = max(known, key=lambda row: row["arrived_at"])
        said = [label for label in labels if label["arrived_at"] <= moment]
        key = ("rank", "arrived_at", "is_fraud")
        standing = max(said, key=lambda label: [label[name] for name in key], default=None)
        was = is_fraud
        if standing and standing["is_fraud"]:
            is_fraud = True
        elif was is not None or valid["event_at"] + DELAY <= moment:
            is_fraud = False
        if is_fraud is not was:
            # It stays with the merchant for whom it first resolved.
            payment = payment or valid
            yield {**payment, "at": moment, "is_fraud": is_fraud}


def state(changes: list[Row], moment: datetime) -> Row:
    """What a merchant's changes up to the moment say."""
    kept = [c for c in changes if moment - FORGOTTEN < c["at"] <= moment]
    genuine = [c for c in kept if not c["is_fraud"]]
    broken_at = max((c["at"] for c in genuine), default=moment - FORGOTTEN)
    run = [c for c in kept if c["is_fraud"] and c["at"] >= broken_at]
    before = max((c["event_at"] for c in genuine if c["at"] == broken_at), default=None)
    began = min((c["event_at"] for c in run), default=None)
    counted = {days: standing_in(kept, moment, days) for days in (7, 28)}
    frauds = {days: [c for c in rows if c["is_fraud"]] for days, rows in counted.items()}
    return {
        "fraud_streak": len(run),
        "plain_fraud_streak": sum(c["is_plain"] for c in run),
        "fraud_streak_days": (moment - began) / timedelta(days=1) if began else None,
        "days_since_genuine": (moment - before) / timedelta(days=1) if run and before else None,
        "resolved_fraud_count_7d": len(frauds[7]),
        "resolved_fraud_count_28d": len(frauds[28]),
        "plain_fraud_count_28d": sum(c["is_plain"] for c in frauds[28]),
        "resolved_count_28d": len(counted[28]),
        "resolved_fraud_share_28d": len(frauds[28]) / len(counted[28]),
    }


def standing_in(changes: list[Row], moment: datetime, days: int) -> list[Row]:
    """The last change of each payment, those of the last days."""
    last: dict[str, Row] = {}
    for change in sorted(changes, key=lambda change: change["at"]):
        last[change["payment_id"]] = change
    return [c for c in last.values() if moment - timedelta(days=days) < c["at"]]


def midnight_before(moment: datetime) -> datetime:
    """The last midnight strictly before the moment."""
    day = (moment - timedelta(microseconds=1)).date()
    return datetime.combine(day, time(), UTC)
