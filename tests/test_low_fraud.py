from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from agora.evaluation import CANDIDATE
from agora.metrics import average_precision
from agora.systems.fraud.pipeline import LABEL
from agora.systems.fraud.routing import ENSEMBLE
from benchmarks.models.low_fraud import pooled

Judged = tuple[pl.DataFrame, dict[str, np.ndarray]]


def marketplace(seed: int, scale: float) -> Judged:
    """Test rows, four for each customer, and the scores of a good and a worse model."""
    rng = np.random.default_rng(seed)
    labels = rng.random(2_000) < 0.05
    test = pl.DataFrame({"customer_id": [f"c{n // 4}" for n in range(2_000)], LABEL: labels})
    good, worse = (labels * strength + rng.normal(size=2_000) for strength in (3.0, 1.5))
    return test, {ENSEMBLE: good * scale, "light": worse * scale}


def test_a_marketplace_counts_as_much_as_another_whatever_the_scale_of_its_scores() -> None:
    judged = [marketplace(0, 1.0), marketplace(1, 1_000.0)]
    each = [average_precision(test[LABEL].to_numpy() * 1.0, s[ENSEMBLE])[0] for test, s in judged]
    found = pooled(judged)
    assert found.metrics[CANDIDATE]["average_precision"].value == pytest.approx(np.mean(each))
    assert found.positives == sum(int(test[LABEL].sum()) for test, _ in judged)


def test_more_marketplaces_make_the_lead_more_certain() -> None:
    judged = [marketplace(seed, 1.0) for seed in range(4)]
    one, four = (pooled(part).differences["light"] for part in (judged[:1], judged))
    assert four.low > 0
    assert four.high - four.low < one.high - one.low
