"""Does the ensemble beat its parts at one fraud in a thousand?

`python -m benchmarks.models.low_fraud [--payments N] [--days N] [--seeds N ...] [--keep FOLDER]`

Simulated marketplaces, one for each seed, by the platform's real path: files, raw, dbt, training
set, fit, scores of the last weeks. One marketplace has too few frauds in its test weeks to tell two
models apart: average precision is the mean over the seeds. Intervals are over the customers of all
of them, and paired: a lead whose whole interval is above zero is one for certain.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import TrainingSet
from agora.evaluation import CANDIDATE, Scored, compare
from agora.manifest import TrainingSetManifest
from agora.metrics import average_precision
from agora.simulator import Params
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.dataset import SPLIT
from agora.systems.fraud.evaluation import scored
from agora.systems.fraud.pipeline import LABEL, FraudPipeline
from agora.systems.fraud.routing import ENSEMBLE
from benchmarks.models.marketplace import training_set
from benchmarks.results import show, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.evaluation import Estimate, Report

Array = np.ndarray[Any, Any]

FRAUD_SHARE = 0.001
DAYS = 90
"""As many as the split of fraud needs: six weeks to learn, one to calibrate, two to judge, and the
three delays of labels between."""
CUSTOMERS_PER_PAYMENT, MERCHANTS_PER_PAYMENT = 1.6, 0.24
"""As in the simulator's default: a customer pays every 1.6 days, a merchant takes 4 a day."""
SEEDS = (101, 102, 103)
"""None of them was looked at while a model was chosen."""
CASCADE = "cascade"


def run(
    payments: int, days: int = DAYS, seeds: Sequence[int] = SEEDS, keep: Path | None = None
) -> list[dict[str, Any]]:
    """Average precision of the ensemble, of its parts, of the cascade and of two baselines.

    Args:
        payments: In each marketplace.
        days: Of each marketplace.
        seeds: One marketplace each.
        keep: Folder that keeps the training sets, for a second run; none are kept by default.
    """
    judged = [_judge(_made(payments, days, seed, keep), seed) for seed in seeds]
    found = pooled(judged)
    primary = {name: metrics[found.primary] for name, metrics in found.metrics.items()}
    return [
        *(
            _row(f"average precision, {ENSEMBLE if name == CANDIDATE else name}", estimate)
            for name, estimate in primary.items()
        ),
        *(
            _row(f"lead of the ensemble over {name}", lead, target=0.0, met=lead.value > 0)
            for name, lead in found.differences.items()
            if name != CASCADE
        ),
    ]


def pooled(judged: Sequence[tuple[pl.DataFrame, dict[str, Array]]]) -> Report:
    """The report of several marketplaces' models, with the ensemble as the candidate.

    Args:
        judged: For each marketplace its test rows and every model's scores of them.
    """
    ends = np.cumsum([0, *(len(test) for test, _ in judged)])
    parts = [slice(start, end) for start, end in pairwise(ends)]

    def mean_over_seeds(labels: Array, scores: Array, weights: Array) -> Array:
        each = [average_precision(labels[p], scores[p], weights[:, p]) for p in parts]
        return np.asarray(np.mean(each, axis=0))

    names = [[f"{n}/{c}" for c in test["customer_id"]] for n, (test, _) in enumerate(judged)]
    _, customers = np.unique(np.concatenate(names), return_inverse=True)
    models = {
        model: Scored(np.concatenate([scores[model] for _, scores in judged]))
        for model in judged[0][1]
    }
    return compare(
        SYSTEM.name,
        {CANDIDATE: models.pop(ENSEMBLE), **models},
        np.concatenate([test[LABEL].cast(pl.Float64).to_numpy() for test, _ in judged]),
        customers.astype(np.int64),
        {"average_precision": mean_over_seeds},
        primary="average_precision",
        slices={},
        importance={},
        spans={},
    )


def _judge(made: TrainingSet, seed: int) -> tuple[pl.DataFrame, dict[str, Array]]:
    """The test rows of a marketplace, and what each model says of them."""
    started = time.perf_counter()
    pipeline = FraudPipeline().fit(made)
    print(f"seed {seed}: fit in {time.perf_counter() - started:.0f} s", flush=True)
    if not pipeline.deep_:
        raise SystemExit("too few known frauds to train a network; ask for more payments")
    scores = {name: found.scores for name, found in scored(pipeline, made).items()}
    scores[CASCADE] = scores.pop(CANDIDATE)
    test = made.test.select("customer_id", LABEL)
    labels = test[LABEL].cast(pl.Float64).to_numpy()
    each = {name: f"{average_precision(labels, found)[0]:.3f}" for name, found in scores.items()}
    print(f"seed {seed}: {int(labels.sum())} frauds in the test span; {each}", flush=True)
    return test, scores


def _row(metric: str, found: Estimate, **judged: Any) -> dict[str, Any]:
    return {
        "benchmark": "low_fraud",
        "system": "fraud",
        "metric": metric,
        "value": round(found.value, 4),
        "reference": f"95 % interval {found.low:.3f} to {found.high:.3f}",
        **judged,
    }


def _made(payments: int, days: int, seed: int, keep: Path | None) -> TrainingSet:
    """The training set of a marketplace, from the folder that keeps it where it is there."""
    kept = keep and keep / f"{payments}-{days}-{seed}"
    if kept and (kept / "manifest.json").exists():
        manifest = TrainingSetManifest.from_json((kept / "manifest.json").read_text())
        return TrainingSet(pl.read_parquet(kept / "frame.parquet"), LABEL, manifest)
    daily = max(1, payments // days)
    params = Params(
        seed=seed,
        days=days,
        payments_per_day=daily,
        customers=round(daily * CUSTOMERS_PER_PAYMENT),
        merchants=round(daily * MERCHANTS_PER_PAYMENT),
        fraud_share=FRAUD_SHARE,
    )
    # What is longer than usual goes to the training span.
    split = replace(SPLIT, train_days=SPLIT.train_days + max(0, days - DAYS))
    started = time.perf_counter()
    home = Path(tempfile.mkdtemp(prefix="agora-low-fraud-"))
    try:
        made = training_set(home, params, SYSTEM, split)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"seed {seed}: {made.manifest.rows} rows, {made.manifest.positives} known frauds")
    print(f"seed {seed}: training set in {time.perf_counter() - started:.0f} s", flush=True)
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        made.frame.write_parquet(kept / "frame.parquet")
        (kept / "manifest.json").write_text(made.manifest.to_json())
    return made


def main() -> None:
    """Read the options, run, print and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=450_000)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--keep", type=Path, help="folder for the training sets of a second run")
    chosen = parser.parse_args()
    if chosen.days < DAYS:
        needed = SPLIT.train_days + SPLIT.calibration_days + SPLIT.test_days
        delays = 3 * SPLIT.label_delay // timedelta(days=1)
        parser.error(f"--days: {chosen.days} are too few; the split needs {needed + delays}")
    rows = run(chosen.payments, chosen.days, chosen.seeds, chosen.keep)
    seeds = ", ".join(map(str, chosen.seeds))
    show(
        rows, f"Fraud at {FRAUD_SHARE:.1%}, {chosen.payments:,} payments for each of seeds {seeds}"
    )
    write("low_fraud", rows)


if __name__ == "__main__":
    main()
