"""Features that several entities share: windows of payments and of events, known fraud."""

from __future__ import annotations

from agora.features import Feature

DAILY_WINDOWS = (1, 7, 30)
RECENT_WINDOWS = {"5m": "5 minutes", "1h": "1 hour", "24h": "24 hours"}


def daily_payments() -> tuple[Feature, ...]:
    """Payments in the 1, 7 and 30 days before the midnight."""
    counted = [
        feature
        for days in DAILY_WINDOWS
        for feature in (
            Feature(f"payment_count_{days}d", f"Payments in the last {days} days.", 0.0),
            Feature(f"amount_sum_{days}d", f"Amount paid in the last {days} days.", 0.0),
            Feature(f"amount_mean_{days}d", f"Mean amount of the last {days} days."),
        )
    ]
    return (
        *counted,
        Feature("amount_std_30d", "Standard deviation of the amounts of the last 30 days."),
        Feature("amount_max_30d", "Largest amount of the last 30 days."),
        Feature("amount_mean_ratio_7d_30d", "Mean amount of 7 days over that of 30 days."),
        Feature("payment_count_ratio_1d_30d", "Payments of 1 day over the daily mean of 30 days."),
    )


def daily_frauds() -> tuple[Feature, ...]:
    """Frauds by the time when the label arrived, not when the payment was made."""
    counted = tuple(
        Feature(f"fraud_count_{days}d", f"Payments that became known as fraud in {days} days.", 0.0)
        for days in DAILY_WINDOWS
    )
    shares = tuple(
        Feature(
            f"fraud_share_{days}d",
            f"Frauds that became known in {days} days over payments of the {days} days, one label "
            "delay earlier.",
            0.0,
        )
        for days in DAILY_WINDOWS
    )
    return (*counted, *shares)


def recent_payments(*windows: str) -> tuple[Feature, ...]:
    """Payments in short windows that end at the entity's latest payment, which is included."""
    return tuple(
        feature
        for window in windows
        for feature in (
            Feature(f"payment_count_{window}", f"Payments in {RECENT_WINDOWS[window]}.", 0.0),
            Feature(f"amount_sum_{window}", f"Amount paid in {RECENT_WINDOWS[window]}.", 0.0),
        )
    )


def daily_counts(event: str, description: str, *windows: int) -> tuple[Feature, ...]:
    """Events of a kind in windows of days before the midnight.

    Args:
        event: Name of the kind in the columns: `<event>_count_<window>d`.
        description: What is counted, in the plural.
        windows: Lengths in days.
    """
    return tuple(
        Feature(f"{event}_count_{days}d", f"{description} in the last {days} days.", 0.0)
        for days in windows
    )
