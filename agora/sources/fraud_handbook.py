"""The Fraud Detection Handbook's simulated payments, as rows of our contracts.

Card payments: transaction, time, customer, terminal, amount, fraud or not. The book has no cards,
devices or countries: each customer gets one card, and what is unknown stays empty or `ZZ`. A fraud
becomes known `LABEL_DELAY` after the payment, as in the book's own protocol.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from agora.sources.landed import land_tables
from agora.sources.source import Source, SourceError
from agora.tables import CARDS, CHARGEBACKS, CUSTOMERS, MERCHANTS, PAYMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from agora.sources.source import Summary

LABEL_DELAY = timedelta(days=7)
UNKNOWN_COUNTRY = "ZZ"
COLUMNS: dict[str, pl.DataType] = {
    "TRANSACTION_ID": pl.Int64(), "TX_DATETIME": pl.Datetime("us"), "CUSTOMER_ID": pl.Int64(),
    "TERMINAL_ID": pl.Int64(), "TX_AMOUNT": pl.Float64(), "TX_FRAUD": pl.Int8(),
}  # fmt: skip


def land(path: Path, landing: Path) -> Summary:
    """Land the data set by arrival day; landing it again changes nothing.

    Args:
        path: The Parquet or CSV file, or a folder with such files.
        landing: Root of the landing folders.

    Raises:
        SourceError: No data, or columns are missing.
    """
    payments = _read(path)
    tables = {
        CUSTOMERS: _customers(payments),
        MERCHANTS: _merchants(payments),
        CARDS: _cards(payments),
        PAYMENTS: _payments(payments),
        CHARGEBACKS: _chargebacks(payments),
    }
    return land_tables("fraud-handbook", tables, landing)


FRAUD_HANDBOOK = Source(
    "fraud-handbook", "1.75 million simulated card payments of 183 days, 0.8 % of them fraud.", land
)


def _read(path: Path) -> pl.DataFrame:
    """The columns that are used, under our names and types."""
    files = (
        sorted(file for file in path.glob("*.*") if file.suffix in (".parquet", ".csv"))
        if path.is_dir()
        else [path]
    )
    if not files or not all(file.exists() for file in files):
        raise SourceError(
            f"{path}: no .parquet or .csv file here; give the data set's file or folder"
        )
    parts = []
    for file in files:
        frame = (
            pl.scan_csv(file, try_parse_dates=True)
            if file.suffix == ".csv"
            else pl.scan_parquet(file)
        )
        try:
            missing = [name for name in COLUMNS if name not in frame.collect_schema()]
        except pl.exceptions.PolarsError as error:
            raise SourceError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from error
        if missing:
            raise SourceError(
                f"{file}: not the handbook's payments; missing columns {', '.join(missing)}"
            )
        parts.append(frame.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items()))
    paid = pl.concat(parts).rename({"TX_AMOUNT": "amount"}).collect()
    return paid.select(
        pl.col("TRANSACTION_ID").cast(pl.String).alias("payment_id"),
        pl.col("CUSTOMER_ID").cast(pl.String).alias("customer_id"),
        pl.col("TERMINAL_ID").cast(pl.String).alias("merchant_id"),
        ("card-" + pl.col("CUSTOMER_ID").cast(pl.String)).alias("card_id"),
        "amount",
        (pl.col("TX_FRAUD") > 0).alias("is_fraud"),
        pl.col("TX_DATETIME").dt.replace_time_zone("UTC").alias("event_at"),
    )


def _payments(payments: pl.DataFrame) -> pl.DataFrame:
    return payments.drop("is_fraud").with_columns(
        pl.lit("EUR").alias("currency"),
        pl.lit("in_store").alias("channel"),
        pl.col("event_at").alias("arrived_at"),
    )


def _chargebacks(payments: pl.DataFrame) -> pl.DataFrame:
    known_at = (pl.col("event_at") + LABEL_DELAY).alias("event_at")
    return payments.filter("is_fraud").select(
        ("chargeback-" + pl.col("payment_id")).alias("chargeback_id"),
        "payment_id",
        pl.lit("fraud").alias("reason"),
        "amount",
        known_at,
        known_at.alias("arrived_at"),
    )


def _customers(payments: pl.DataFrame) -> pl.DataFrame:
    return _first_seen(payments, "customer_id").with_columns(country=pl.lit(UNKNOWN_COUNTRY))


def _merchants(payments: pl.DataFrame) -> pl.DataFrame:
    seen = _first_seen(payments, "merchant_id")
    return seen.with_columns(category=pl.lit("terminal"), country=pl.lit(UNKNOWN_COUNTRY))


def _cards(payments: pl.DataFrame) -> pl.DataFrame:
    return _first_seen(payments, "card_id", "customer_id").with_columns(
        network=pl.lit("other"), funding=pl.lit("debit"), country=pl.lit(UNKNOWN_COUNTRY)
    )


def _first_seen(payments: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """One row per key, known from the midnight before its first payment."""
    midnight = pl.col("event_at").min().dt.truncate("1d").alias("event_at")
    seen = payments.group_by(keys).agg(midnight).sort("event_at", *keys)
    return seen.with_columns(arrived_at=pl.col("event_at"))
