"""The Fraud Detection Handbook's weeks: which payments are learned from, and which are scored.

The data set is landed, ingested and turned into features as any producer's would be; `split` cuts
the weeks from what stands in the lake then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from agora.protocols import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.dataset import TrainingSet
    from agora.stores.lake import Lake

SYSTEM = "fraud"
DAYS = 7
AT_ONCE = 30  # Days built in one go: all 180 at once spill 60 GB of card sequences.
PREPARED = "prepared-until-"
DAY = pl.col("event_at").dt.date()


@dataclass(frozen=True, slots=True)
class Weeks:
    """The protocol's dates.

    Attributes:
        train: First day of the training week.
        test: First day of the test week; labels that arrived before it may be learned from.
        delay: Days after which a payment's label is known.
    """

    train: date = date(2018, 7, 25)
    test: date = date(2018, 8, 8)
    delay: int = 7

    @property
    def end(self) -> date:
        """Day after the test week."""
        return self.test + timedelta(days=DAYS)

    @property
    def before(self) -> date:
        """First day of the week before the training week."""
        return self.train - timedelta(days=DAYS)

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Weeks:
        """Read `train_start`, `test_start` and `delay`.

        Raises:
            ProtocolError: An option is unknown, no date, or the weeks overlap.
        """
        unknown = set(options) - {"train_start", "test_start", "delay", "home"}
        if unknown:
            raise ProtocolError(
                f"options: {', '.join(sorted(unknown))} unknown; there are train_start, "
                "test_start, delay, home"
            )
        usual = cls()
        try:
            weeks = cls(
                date.fromisoformat(options.get("train_start", usual.train.isoformat())),
                date.fromisoformat(options.get("test_start", usual.test.isoformat())),
                int(options.get("delay", usual.delay)),
            )
        except ValueError as error:
            raise ProtocolError(f"options: {error}") from error
        if weeks.train + timedelta(days=DAYS + weeks.delay) > weeks.test:
            raise ProtocolError("test_start: the training week's labels are not known by then")
        return weeks


def prepared(path: Path, home: Path, weeks: Weeks) -> Lake:
    """The lake with the features of every day up to the test week's end; built once."""
    from agora.ingest import ingest, landed_days
    from agora.settings import Settings
    from agora.sources import SOURCES
    from agora.stores.lake import Lake
    from agora.tables import TABLES
    from agora.warehouse import build

    settings = Settings(home=home, landing_url="", lake_url="", lake_options={})
    lake = Lake(settings.lake)
    # What was prepared for later weeks holds the earlier ones too.
    if any(
        mark.name.removeprefix(PREPARED) >= f"{weeks.end}" for mark in home.glob(f"{PREPARED}*")
    ):
        return lake
    try:
        SOURCES["fraud-handbook"].land(path, Path(settings.landing))
    except (OSError, ValueError) as error:
        raise ProtocolError(str(error)) from error
    # Labels of the test week arrive after it; no feature of the week can see them.
    until = weeks.end + timedelta(days=weeks.delay + 1)
    days = landed_days(settings.landing, TABLES["payments"])
    if not days or days[-1] < weeks.end - timedelta(days=1):
        raise ProtocolError(f"{path}: holds no payments up to {weeks.end}")
    for table in TABLES.values():
        if landed_days(settings.landing, table):
            ingest(lake, settings.landing, table, days[0], until)
    for first in range(0, (until - days[0]).days, AT_ONCE):
        start = days[0] + timedelta(days=first)
        build(settings, start, min(start + timedelta(days=AT_ONCE), until))
    (home / f"{PREPARED}{weeks.end}").touch()
    return lake


def split(lake: Lake, weeks: Weeks) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows of the training week, the week before it and the test week with their features."""
    from agora.dataset import point_in_time
    from agora.systems.fraud import SYSTEM as system

    known = system.labelled(lake, _midnight(weeks.test))
    train = _of_days(known, weeks.train, weeks.train + timedelta(days=DAYS))
    before = _of_days(known, weeks.before, weeks.train)
    truth = system.labelled(lake, _midnight(weeks.end + timedelta(days=weeks.delay + 1)))
    test = not_known(_of_days(truth, weeks.train, weeks.end), weeks)
    sets = system.feature_sets
    return (
        point_in_time(lake, train, system.entities, sets),
        point_in_time(lake, before, system.entities, sets),
        point_in_time(lake, test, system.entities, sets),
    )


def not_known(truth: pl.DataFrame, weeks: Weeks) -> pl.DataFrame:
    """Test payments of customers whose fraud was not known when the payment was made.

    Known are the customers with a fraud in the training week, and from test day d on those with a
    fraud on the day `delay` + 1 before d.

    Args:
        truth: Labelled payments from the training week to the test week.
        weeks: The dates.
    """
    frauds = truth.filter("is_fraud").select("customer_id", day=DAY)
    in_training = frauds.filter(pl.col("day") < weeks.train + timedelta(days=DAYS)).select(
        "customer_id", known_from=pl.lit(weeks.test)
    )
    # The first test day adds the fraud of exactly one day: what lies between it and the training
    # week the book does not look at.
    late = frauds.with_columns(known_from=pl.col("day") + timedelta(days=weeks.delay + 1)).filter(
        pl.col("known_from") >= weeks.test
    )
    first = (
        pl.concat([in_training, late.select("customer_id", "known_from")])
        .group_by("customer_id")
        .agg(pl.col("known_from").min())
    )
    return (
        _of_days(truth, weeks.test, weeks.end)
        .join(first, on="customer_id", how="left", maintain_order="left")
        .filter(pl.col("known_from").is_null() | (pl.col("known_from") > DAY))
        .drop("known_from")
    )


def training_set(train: pl.DataFrame, before: pl.DataFrame, weeks: Weeks) -> TrainingSet:
    """The training week, and for calibration the week before it, whose labels are older still.

    Between training and test week no label has arrived, so there is no later one.
    """
    from agora.dataset import TrainingSet
    from agora.manifest import Span, TrainingSetManifest, code_version, content_hash

    frame = pl.concat(
        [
            train.with_columns(split=pl.lit("train")),
            before.with_columns(split=pl.lit("calibration")),
        ]
    )
    start = _midnight(weeks.train)
    span = Span(start=start, end=start + timedelta(days=DAYS), known_at=_midnight(weeks.test))
    frauds = int(train["is_fraud"].sum())
    manifest = TrainingSetManifest(
        system=SYSTEM,
        label="is_fraud",
        as_of=span.known_at,
        tables={},
        upstream={},
        feature_sets=[],
        dbt_manifest_hash="",
        code_version=code_version(),
        label_delay_seconds=timedelta(days=weeks.delay).total_seconds(),
        spans={"train": span},
        rows={"train": train.height},
        positives={"train": frauds},
        content_hash=content_hash(frame),
    )
    return TrainingSet(frame, "is_fraud", manifest)


def _of_days(frame: pl.DataFrame, start: date, end: date) -> pl.DataFrame:
    return frame.filter(DAY.is_between(start, end, closed="left"))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
