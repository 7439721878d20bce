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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.metrics import auc_roc, average_precision, card_precision_at_k
from agora.pipeline import columns_of
from agora.protocols import Row, row
from agora.protocols.handbook_weeks import DAY, SYSTEM, Weeks, prepared, split, training_set

if TYPE_CHECKING:
    from collections.abc import Mapping


BENCHMARK = "fraud_handbook"
CARDS_CHECKED = 100
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


def results(
    train: pl.DataFrame, before: pl.DataFrame, test: pl.DataFrame, weeks: Weeks
) -> list[Row]:
    """Counts and metrics of the pipeline's models as they are, their parameters untouched."""
    from agora.systems.fraud.pipeline import FraudPipeline
    from agora.systems.fraud.routing import ENSEMBLE

    pipeline = FraudPipeline().fit(training_set(train, before, weeks))
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
    days = test.select(DAY.to_physical()).to_series().to_numpy()
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
