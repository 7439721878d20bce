"""Reports of made-up models, for whoever reads reports."""

from __future__ import annotations

import numpy as np

from agora.evaluation import CANDIDATE, CHAMPION, Report, Scored, compare
from agora.metrics import average_precision, expected_calibration_error

METRICS = {
    "average_precision": average_precision,
    "calibration_error": expected_calibration_error,
}


def report(
    n: int = 3_000, lead: float = 2.0, champion: float | None = None, seed: int = 0
) -> Report:
    """A candidate whose scores see the label `lead` standard deviations clearly."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.1).astype(float)

    def scored(clear: float) -> Scored:
        log_odds = clear * (rng.normal(size=n) + clear * labels) - np.log(9) - clear**2 / 2
        return Scored(1 / (1 + np.exp(-log_odds)), {"cost": labels})

    models = {CANDIDATE: scored(lead), "rules": scored(0.5)}
    if champion is not None:
        models[CHAMPION] = scored(champion)
    return compare(
        "fraud",
        models,
        labels,
        rng.integers(0, 300, n) if n else np.empty(0, int),
        METRICS,
        primary="average_precision",
        slices={"band": np.where(np.arange(n) % 3 == 0, "low", "high")},
        importance={"amount": 0.7, "hour": 0.3},
        spans={"test": ("2026-03-01", "2026-03-08")},
    )
