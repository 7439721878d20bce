"""Contracts: what files may hold, and what is said about what they may not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from agora.schema import Column, Table, schema_of
from agora.tables import PAYMENTS
from agora.validation import Verdict, column_faults, unexpected_columns, validate

DAY = date(2026, 1, 1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
THINGS = Table(
    name="things",
    grain="One row per thing.",
    columns=(
        Column("thing_id", "string", "The thing.", max_length=5),
        Column("size", "integer", "Pieces.", nullable=True, minimum=1, maximum=10),
        Column("price", "number", "Price.", nullable=True, minimum=0),
        Column("colour", "string", "Colour.", nullable=True, allowed=("red", "blue")),
        Column("is_new", "boolean", "New.", nullable=True),
        Column("email", "string", "Owner.", nullable=True, max_length=8, personal=True),
    ),
    key=("thing_id",),
    owner="team:things",
)


def judged(**columns: Any) -> Verdict:
    row = {"thing_id": "a", "event_at": NOON, "arrived_at": NOON, **columns}
    frame = pl.DataFrame(
        {name: value if isinstance(value, pl.Series) else [value] for name, value in row.items()}
    )
    return validate(frame.with_columns(row_number=pl.lit(1, pl.Int64)), THINGS, DAY)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"thing_id": None}, "thing_id: is empty but required"),
        ({"thing_id": ""}, "thing_id: is empty but required"),
        ({"thing_id": "abcdef"}, "thing_id: 'abcdef' is longer than 5 characters"),
        ({"size": 0}, "size: 0 is below the minimum 1"),
        ({"size": "eleven"}, "size: eleven is not a whole number"),
        ({"size": 1.5}, "size: 1.5 is not a whole number"),
        ({"size": Decimal("1.5")}, "size: 1.5 is not a whole number"),
        ({"size": 11.0}, "size: 11 is above the maximum 10"),
        ({"price": -3.0}, "price: -3.0 is below the minimum 0"),
        ({"price": float("inf")}, "price: inf is not a finite number"),
        ({"price": "1,5"}, "price: 1,5 is not a finite number"),
        ({"colour": "green"}, "colour: 'green' is not one of red, blue"),
        ({"is_new": "maybe"}, "is_new: 'maybe' is not true or false"),
        ({"email": "someone@example.org"}, "email: is longer than 8 characters"),
        ({"event_at": "yesterday"}, "event_at: yesterday is not an ISO 8601 timestamp"),
        ({"event_at": EPOCH}, "event_at: 1970-01-01 .* is before 2000-01-01"),
        ({"event_at": NOON + timedelta(days=2)}, "event_at: .* is more than a day after"),
        ({"arrived_at": NOON + timedelta(1)}, "arrived_at: .* outside of the folder's day 2026"),
        ({"arrived_at": None}, "arrived_at: is empty but required"),
    ],
)  # fmt: skip
def test_a_bad_value_is_rejected_with_column_value_and_expectation(
    columns: dict[str, Any], reason: str
) -> None:
    verdict = judged(**columns)
    assert verdict.accepted.is_empty()
    said = verdict.rejected["reasons"].to_list()[0]
    assert len(said) == 1
    assert pl.Series(said).str.contains(f"^{reason}").all(), said


def test_a_bad_row_says_everything_that_is_wrong_with_it() -> None:
    verdict = judged(size=0, price=-1.0, colour="green")
    assert [reason.split(":")[0] for reason in verdict.rejected["reasons"][0]] == [
        "size",
        "price",
        "colour",
    ]
    assert verdict.reasons == {
        "size: is below the minimum 1": 1,
        "price: is below the minimum 0": 1,
        "colour: is not one of red, blue": 1,
    }


@pytest.mark.parametrize(
    ("columns", "column", "value"),
    [
        ({"thing_id": 42}, "thing_id", "42"),
        ({"size": "7"}, "size", 7),
        ({"size": "7.0"}, "size", 7),
        ({"size": 7.0}, "size", 7),
        ({"size": float("nan")}, "size", None),
        ({"price": " 1.5 "}, "price", 1.5),
        ({"price": Decimal("1.5")}, "price", 1.5),
        ({"price": float("nan")}, "price", None),
        ({"colour": ""}, "colour", None),
        ({"colour": pl.Series(["red"], dtype=pl.Categorical)}, "colour", "red"),
        ({"is_new": "TRUE"}, "is_new", True),
        ({"is_new": 0}, "is_new", False),
        ({"event_at": "2026-01-01"}, "event_at", datetime(2026, 1, 1, tzinfo=UTC)),
        ({"event_at": date(2026, 1, 1)}, "event_at", datetime(2026, 1, 1, tzinfo=UTC)),
        ({"event_at": "2026-01-01 12:00"}, "event_at", NOON),
        ({"event_at": "2026-01-01T12:00:00Z"}, "event_at", NOON),
        ({"event_at": "2026-01-01T14:00:00.000000+0200"}, "event_at", NOON),
        ({"event_at": "2026-01-01T06:30:00-05:30"}, "event_at", NOON),
        ({"event_at": "2026-01-01T14:00:00+02"}, "event_at", NOON),
        ({"event_at": datetime(2026, 1, 1, 12)}, "event_at", NOON),
    ],
)  # fmt: skip
def test_values_are_read_as_the_contract_means_them(
    columns: dict[str, Any], column: str, value: Any
) -> None:
    verdict = judged(**columns)
    assert verdict.rejected.is_empty(), verdict.reasons
    assert verdict.accepted[column].to_list() == [value]


def test_accepted_rows_have_all_columns_in_the_types_of_the_contract() -> None:
    accepted = judged().accepted.drop("row_number")
    assert dict(accepted.schema) == schema_of(THINGS)


@pytest.mark.parametrize("event", [datetime(2025, 12, 31, 9, tzinfo=UTC), NOON])
def test_a_missing_arrival_is_the_event_but_not_before_the_day(event: datetime) -> None:
    frame = pl.DataFrame({"row_number": [1], "thing_id": ["a"], "event_at": [event]})
    accepted = validate(frame, THINGS, DAY).accepted
    assert accepted["arrived_at"].to_list() == [max(event, datetime(2026, 1, 1, tzinfo=UTC))]


def test_reasons_of_personal_columns_hold_no_value() -> None:
    verdict = judged(email="someone@example.org")
    assert "someone" not in str(verdict.rejected["reasons"].to_list())


def test_columns_that_cannot_fit_are_named_with_what_was_meant() -> None:
    faults = column_faults(
        PAYMENTS, {"Customer ID": pl.String(), "amount": pl.Boolean(), "event_at": pl.Int64()}
    )
    assert faults["customer_id"] == "the column is missing; did you mean 'Customer ID'?"
    assert faults["amount"] == "holds Boolean in the file, a finite number is expected"
    assert faults["event_at"].startswith("holds Int64 in the file, an ISO 8601 timestamp")
    assert "arrived_at" not in faults
    assert "device_id" not in faults


def test_columns_that_the_contract_does_not_know_are_found() -> None:
    assert unexpected_columns(PAYMENTS, ["amount", "mood"]) == ("mood",)
