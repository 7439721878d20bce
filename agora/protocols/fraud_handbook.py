"""The Fraud Detection Handbook's protocol, through the platform's own path.

The data set is landed, ingested and turned into features as any producer's would be; the pipeline
learns on one week with the labels that had arrived by the first test day, and scores a later week
with the features as of each payment. What joins its models is fitted on the week before, as the
book chooses its models' parameters on earlier weeks. Customers whose fraud was known by then are
left out of the test, as the book does. (Le Borgne, Siblini, Lebichot, Bontempi: Reproducible
Machine Learning for Credit Card Fraud Detection, chapters 3 and 5 to 7.)
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.metrics import auc_roc, average_precision, card_precision_at_k
from agora.pipeline import columns_of
from agora.protocols import ProtocolError, Row, row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.dataset import TrainingSet
    from agora.stores.lake import Lake

BENCHMARK, SYSTEM = "fraud_handbook", "fraud"
DAYS = 7
CARDS_CHECKED = 100
PREPARED = "prepared-until-"
# The book's counts, for its dates: payments and frauds of the training and of the test week.
COUNTS = {
    "train_payments": 67_240,
    "train_frauds": 598,
    "test_payments": 58_264,
    "test_frauds": 385,
}
TARGETS = {"average_precision": 0.72, "auc_roc": 0.90, "card_precision_at_100": 0.305}
# Chapters 5 to 7, test week.
PUBLISHED = {
    "logistic regression": (0.871, 0.606, 0.291),
    "decision tree, depth 2": (0.763, 0.496, 0.241),
    "random forest": (0.867, 0.658, 0.287),
    "XGBoost": (0.862, 0.639, 0.273),
    "random forest, tuned": (0.870, 0.678, 0.299),
    "XGBoost, tuned": (0.869, 0.687, 0.303),
    "neural network, tuned": (0.876, 0.675, 0.303),
}
METRICS = ("auc_roc", "average_precision", "card_precision_at_100")


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


def run(path: Path, options: Mapping[str, str]) -> list[Row]:
    """The protocol on a file of the data set's format.

    Args:
        path: The Parquet file, or its folder.
        options: `train_start`, `test_start` (first days, ISO), `delay` (days), and `home`: a folder
            that keeps the lake, which a second run then uses as it is.
    """
    weeks = Weeks.of(options)
    home = options.get("home")
    kept = nullcontext(home) if home else tempfile.TemporaryDirectory(prefix="agora-handbook-")
    with kept as folder:
        lake = prepared(path, Path(folder), weeks)
        return results(*split(lake, weeks), weeks)


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
    build(settings, days[0], until)
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
    frauds = truth.filter("is_fraud").select("customer_id", day=_DAY)
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
        .filter(pl.col("known_from").is_null() | (pl.col("known_from") > _DAY))
        .drop("known_from")
    )


def results(
    train: pl.DataFrame, before: pl.DataFrame, test: pl.DataFrame, weeks: Weeks
) -> list[Row]:
    """Counts and metrics of the pipeline's models as they are, their parameters untouched."""
    from agora.systems.fraud.pipeline import FraudPipeline
    from agora.systems.fraud.routing import ENSEMBLE

    pipeline = FraudPipeline().fit(_training_set(train, before, weeks))
    parts = pipeline.parts(pipeline.decode(columns_of(test)))
    labels = test["is_fraud"].cast(pl.Float64).to_numpy()
    counts = {
        "train_payments": train.height,
        "train_frauds": int(train["is_fraud"].sum()),
        "test_payments": test.height,
        "test_frauds": int(labels.sum()),
    }
    # Every payment by every model: the cascade would spare the deep one most of them.
    values = measured(test, parts[ENSEMBLE])
    published = weeks == Weeks()
    best = {name: _best(position) for position, name in enumerate(METRICS)}
    return [
        *(
            row(
                BENCHMARK, SYSTEM, name, count, exact=True, unit="rows",
                target=COUNTS[name] if published else None,
                reference="the book's count" if published else "",
            )
            for name, count in counts.items()
        ),
        *(
            row(
                BENCHMARK, SYSTEM, name, value,
                target=TARGETS[name] if published else None,
                reference=best[name] if published else "",
            )
            for name, value in values.items()
        ),
        *(
            row(BENCHMARK, SYSTEM, f"{name} ({part})", value)
            for part, found in parts.items()
            if part != ENSEMBLE
            for name, value in measured(test, found).items()
        ),
    ]  # fmt: skip


def measured(test: pl.DataFrame, found: np.ndarray[Any, Any]) -> dict[str, float]:
    """The book's metrics of scores."""
    labels = test["is_fraud"].cast(pl.Float64).to_numpy()
    _, customers = np.unique(test["customer_id"].to_numpy(), return_inverse=True)
    days = test.select(_DAY.to_physical()).to_series().to_numpy()
    precision = card_precision_at_k(days, customers, labels, found, CARDS_CHECKED)
    return {
        "auc_roc": float(auc_roc(labels, found)[0]),
        "average_precision": float(average_precision(labels, found)[0]),
        "card_precision_at_100": float(precision[0]),
    }


def _best(position: int) -> str:
    """The book's figures for a metric, best first."""
    ranked = sorted(PUBLISHED.items(), key=lambda item: -item[1][position])
    return "; ".join(f"{model} {figures[position]:.3f}" for model, figures in ranked[:3])


def _training_set(train: pl.DataFrame, before: pl.DataFrame, weeks: Weeks) -> TrainingSet:
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


_DAY = pl.col("event_at").dt.date()


def _of_days(frame: pl.DataFrame, start: date, end: date) -> pl.DataFrame:
    return frame.filter(_DAY.is_between(start, end, closed="left"))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
