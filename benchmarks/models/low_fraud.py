"""Does the ensemble beat its parts at one fraud in a thousand?

`python -m benchmarks.models.low_fraud [--payments N] [--days N] [--seed N]`

A simulated marketplace by the platform's real path: files, raw, dbt, training set, fit, report on
the last weeks. Intervals are over customers, and paired: a lead whose whole interval is above zero
is one for certain.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.evaluation import CANDIDATE
from agora.simulator import Params
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.dataset import SPLIT
from agora.systems.fraud.evaluation import SCHEME, report, scored
from agora.systems.fraud.pipeline import FraudPipeline
from agora.systems.fraud.routing import ENSEMBLE
from benchmarks.models.marketplace import training_set
from benchmarks.results import show, write

if TYPE_CHECKING:
    from agora.dataset import TrainingSet
    from agora.evaluation import Estimate

FRAUD_SHARE = 0.001
DAYS = 90
"""As many as the split of fraud needs: six weeks to learn, one to calibrate, two to judge, and the
three delays of labels between."""
CUSTOMERS_PER_PAYMENT, MERCHANTS_PER_PAYMENT = 1.6, 0.24
"""As in the simulator's default: a customer pays every 1.6 days, a merchant takes 4 a day."""


def run(payments: int, days: int = DAYS, seed: int = 7) -> list[dict[str, Any]]:
    """Average precision of the ensemble, of its parts, of the cascade and of two baselines."""
    home = Path(tempfile.mkdtemp(prefix="agora-low-fraud-"))
    try:
        pipeline, made = _fit(home, payments, days, seed)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    models = scored(pipeline, made)
    served = report(models, made, pipeline.importance())
    print(served.markdown())
    if ENSEMBLE not in models:
        raise SystemExit("too few known frauds to train a network; ask for more payments")
    # The same again, with the ensemble in front: leads are paired with its draws.
    others = {name: found for name, found in models.items() if name not in (ENSEMBLE, CANDIDATE)}
    leads = report({CANDIDATE: models[ENSEMBLE], **others}, made, {}).differences
    primary = {name: found[served.primary] for name, found in served.metrics.items()}
    return [
        *(
            _row(f"average precision, {'cascade' if name == CANDIDATE else name}", found)
            for name, found in primary.items()
        ),
        *(
            _row(f"lead of the ensemble over {name}", lead, target=0.0, met=lead.value > 0)
            for name, lead in leads.items()
        ),
    ]


def _row(metric: str, found: Estimate, **judged: Any) -> dict[str, Any]:
    return {
        "benchmark": "low_fraud",
        "system": "fraud",
        "metric": metric,
        "value": round(found.value, 4),
        "reference": f"95 % interval {found.low:.3f} to {found.high:.3f}",
        **judged,
    }


def _fit(home: Path, payments: int, days: int, seed: int) -> tuple[FraudPipeline, TrainingSet]:
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
    longer = max(0, days - DAYS)
    split = replace(SPLIT, train_days=SPLIT.train_days + longer)
    started = time.perf_counter()
    made = training_set(home, params, SYSTEM, split)
    print(f"{made.manifest.rows} rows, {made.manifest.positives} known frauds", flush=True)
    print(f"training set: {time.perf_counter() - started:.0f} s", flush=True)
    started = time.perf_counter()
    pipeline = FraudPipeline().fit(made)
    print(f"fit: {time.perf_counter() - started:.0f} s", flush=True)
    for code, note in pipeline.acting_.notes.items():
        print(f"  {code}: {note}")
    truth = pl.read_parquet(home / "truth" / "payments.parquet").select("payment_id", SCHEME)
    frame = made.frame.join(truth, on="payment_id", how="left", maintain_order="left")
    return pipeline, replace(made, frame=frame)


def main() -> None:
    """Read the options, run, print and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.days < DAYS:
        needed = SPLIT.train_days + SPLIT.calibration_days + SPLIT.test_days
        delays = 3 * SPLIT.label_delay // timedelta(days=1)
        parser.error(f"--days: {chosen.days} are too few; the split needs {needed + delays}")
    rows = run(chosen.payments, chosen.days, chosen.seed)
    show(rows, f"Fraud at {FRAUD_SHARE:.1%}, {chosen.payments:,} payments")
    write("low_fraud", rows)


if __name__ == "__main__":
    main()
