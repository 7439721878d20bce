"""What a simulated marketplace looks like: every knob with its reason, checked when it is made."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

SCHEMES = (
    "honest",
    "unusual_amount",
    "compromised_merchant",
    "compromised_card",
    "account_takeover",
    "card_testing",
)
DAY = 86_400_000_000
HOUR = DAY // 24
MINUTE = HOUR // 60
SECOND = MINUTE // 60


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the fraud schemes; they are divided by their sum."""

    unusual_amount: float = 0.25
    compromised_merchant: float = 0.30
    compromised_card: float = 0.27
    account_takeover: float = 0.18
    card_testing: float = 0.0

    def __post_init__(self) -> None:
        for part in fields(self):
            _check(f"mix.{part.name}", getattr(self, part.name), 0, 1)
        if sum(self.shares) <= 0:
            raise ValueError("mix: at least one scheme needs a share above 0")

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares in the order of `SCHEMES`, without the honest."""
        return tuple(getattr(self, scheme) for scheme in SCHEMES[1:])


@dataclass(frozen=True, slots=True)
class Params:
    """A marketplace and its fraud.

    Attributes:
        seed: Same seed and parameters, same bytes.
        start: First day, UTC. The default is a Monday, so that weeks are whole.
        days: Length. 75: 30 days of history, 4 weeks of training, 2 of test, the label delay.
        customers: Who exist at the end. 4,000 pay every 1.6 days: enough for own profiles.
        merchants: Who exist at the end. 600 take 4 payments a day each: risk can be estimated.
        payments_per_day: Mean over the days. The total is exact, whatever the seasons.
        products_per_merchant: Mean length of a catalogue. 10 prices span a merchant's range.
        present_share: Customers and merchants there on day one; later ones are cold starts.
        fraud_share: Frauds among payments. 0.5 % is usual where cards are not present.
        mix: How frauds divide over schemes. No scheme dominates, so no single rule can win.
        drift_at: First day of the drift; None for a stable world.
        drift_mix: Schemes from then on. Mostly card testing, which no model has seen before.
        drift_amount_factor: All amounts from then on. A quarter more shows within days.
        late_share: Payments that arrive minutes to hours late, as from terminals that were offline.
        correction_share: Payments sent again with another amount, as when an order is changed.
        chargeback_share: Frauds that are charged back; the rest nobody notices.
        chargeback_median_days: Median from payment to chargeback.
        dispute_share: Honest payments charged back, nearly all with reason `dispute`.
        friendly_fraud_share: Disputes that claim fraud falsely: label noise, as in life.
        review_share: Payments that analysts review: a team's capacity, twice the frauds.
        review_random_share: Reviews drawn at random: they show what the heuristic misses.
        verdict_accuracy: Verdicts that are right at first.
        currency: ISO 4217 code of all amounts.
        sessions_per_day: Visits to the shop, mean over the days. 300 with 20 products shown each
            are 6,000 impressions a day: a customer comes every other week, a product is clicked
            twice a month.
        launches_per_day: Products that sellers who are already there add, mean. Eight a day are
            a tenth of the catalogue in three months: cold starts that a test fortnight can judge.
        anonymous_share: Visits of people who have not signed in; their customer is not told.
        taste_drift: Radians that a taste turns in 100 days. A third of a right angle: last
            year's profile is stale, last month's is not.
        outage_share: Products that run out of stock in 100 days, once each.
    """

    seed: int = 7
    start: date = date(2026, 1, 5)
    days: int = 75
    customers: int = 4_000
    merchants: int = 600
    payments_per_day: int = 2_500
    products_per_merchant: int = 10
    present_share: float = 0.85
    fraud_share: float = 0.005
    mix: Mix = field(default_factory=Mix)
    drift_at: date | None = None
    drift_mix: Mix = field(default_factory=lambda: Mix(0.15, 0.10, 0.15, 0.15, 0.45))
    drift_amount_factor: float = 1.25
    late_share: float = 0.002
    correction_share: float = 0.0005
    chargeback_share: float = 0.85
    chargeback_median_days: float = 7.0
    dispute_share: float = 0.0005
    friendly_fraud_share: float = 0.05
    review_share: float = 0.01
    review_random_share: float = 0.1
    verdict_accuracy: float = 0.97
    currency: str = "EUR"
    sessions_per_day: int = 300
    launches_per_day: float = 8.0
    anonymous_share: float = 0.15
    taste_drift: float = 0.5
    outage_share: float = 0.25

    def __post_init__(self) -> None:
        _check_date("start", self.start)
        for name, low, high in (
            ("seed", 0, 2**63 - 1),
            ("days", 1, 3_660),
            ("customers", 10, 10_000_000),
            ("merchants", 5, 1_000_000),
            ("payments_per_day", 1, 10_000_000),
            ("products_per_merchant", 1, 1_000),
            ("sessions_per_day", 0, 10_000_000),
        ):
            _check(name, getattr(self, name), low, high, whole=True)
        for name, least, most in (
            ("present_share", 0.1, 1),
            ("fraud_share", 0.001, 0.01),
            ("drift_amount_factor", 0.1, 10),
            ("late_share", 0, 0.5),
            ("correction_share", 0, 0.5),
            ("chargeback_share", 0, 1),
            ("chargeback_median_days", 1, 90),
            ("dispute_share", 0, 0.1),
            ("friendly_fraud_share", 0, 1),
            ("review_share", 0, 1),
            ("review_random_share", 0, 1),
            ("verdict_accuracy", 0.5, 1),
            ("launches_per_day", 0, 100_000),
            ("anonymous_share", 0, 1),
            ("taste_drift", 0, 10),
            ("outage_share", 0, 1),
        ):
            _check(name, getattr(self, name), least, most)
        if self.drift_at is not None:
            _check_date("drift_at", self.drift_at)
            if not self.start <= self.drift_at <= self.end:
                raise ValueError(
                    f"drift_at: must lie between {self.start} and {self.end}, not {self.drift_at}"
                )
        for name in ("mix", "drift_mix"):
            if not isinstance(getattr(self, name), Mix):
                raise ValueError(f"{name}: must be a Mix, not {getattr(self, name)!r}")
        if not re.fullmatch("[A-Z]{3}", str(self.currency)):
            raise ValueError(f"currency: must be three capital letters, not {self.currency!r}")

    @property
    def end(self) -> date:
        """The day after the last."""
        return self.start + timedelta(days=self.days)

    @property
    def payments(self) -> int:
        """Payments in total."""
        return self.payments_per_day * self.days

    @property
    def start_at(self) -> int:
        """First moment, microseconds UTC."""
        return microseconds(self.start)

    @property
    def end_at(self) -> int:
        """First moment after the last day, microseconds UTC."""
        return microseconds(self.end)

    @property
    def drifts_at(self) -> int:
        """First moment of the drift; the end when there is none."""
        return microseconds(self.drift_at) if self.drift_at else self.end_at


def microseconds(day: date) -> int:
    """Midnight that opens a day, microseconds UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


def _check_date(name: str, value: Any) -> None:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError(f"{name}: must be a date, not {value!r}")


def _check(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> None:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        raise ValueError(f"{name}: must be a {'whole ' if whole else ''}number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name}: must lie between {low} and {high}, not {value}")
