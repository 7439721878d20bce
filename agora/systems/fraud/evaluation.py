"""Fraud's report: the cascade against its parts, two baselines and the champion; and its gate.

`candidate` is the cascade as served. `ensemble` is the stack on all payments, `light` and `deep`
are its parts, each calibrated: what they say also where the cascade does not ask them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.evaluation import CANDIDATE, CHAMPION, Report, Scored, compare
from agora.gate import Gate
from agora.metrics import (
    auc_roc,
    average_precision,
    brier,
    calibration_bias,
    card_precision_at_k,
    expected_calibration_error,
    recall_at_precision,
)
from agora.pipeline import columns_of, scores
from agora.systems.fraud.costs import Costs, cheapest_thresholds
from agora.systems.fraud.pipeline import LABEL, FraudPipeline
from agora.systems.fraud.routing import LIGHT, RULES
from agora.systems.fraud.rulebook import BOOK
from agora.systems.fraud.tiers import WIDTH

if TYPE_CHECKING:
    from agora.cascade import Inferred
    from agora.dataset import TrainingSet
    from agora.evaluation import Metric
    from agora.pipeline import Pipeline

Array = np.ndarray[Any, Any]

LOGISTIC = "logistic_regression"
SCHEME = "scheme"
"""Column with the kind of each fraud, where someone knows it: a simulation does."""
HONEST = "honest"
DECIDED = ("approved", "reviewed", "declined")
CARDS_CHECKED = 100
# Fitted on all frauds and so many honest payments at most: more change nothing but the time.
LOGISTIC_ROWS = 40_000
AMOUNT_BANDS = (0.0, 20.0, 50.0, 100.0, 500.0)

GATE = Gate(
    baselines=(RULES, LOGISTIC),
    parts=(LIGHT,),
    # About half of the width of the interval on a week of 60,000 payments.
    tolerance=0.02,
    # Frauds come in bursts: their share of one week was twice that of the next in a stable world.
    # Three times too many expected is a fault of the model.
    at_most={"calibration_error": 0.02, "calibration_bias": 2.0},
)


def evaluate(
    pipeline: Pipeline, training_set: TrainingSet, champion: Pipeline | None = None
) -> Report:
    """Compare on the test span, which neither training nor calibration saw."""
    if not isinstance(pipeline, FraudPipeline):
        raise TypeError(f"a {type(pipeline).__name__} is not fraud's pipeline")
    return report(scored(pipeline, training_set, champion), training_set, pipeline.importance())


def report(
    models: dict[str, Scored], training_set: TrainingSet, importance: dict[str, float]
) -> Report:
    """The report of scored models, `candidate` among them."""
    test = training_set.test
    customers = test["customer_id"].cast(pl.Categorical).to_physical().rank("dense").to_numpy() - 1
    return compare(
        training_set.manifest.system,
        models,
        _labels(test),
        customers.astype(np.int64),
        metrics(test),
        primary="average_precision",
        slices=slices(test),
        importance=importance,
        spans={
            name: (span.start.isoformat(), span.end.isoformat())
            for name, span in training_set.manifest.spans.items()
        },
    )


def scored(
    pipeline: FraudPipeline, training_set: TrainingSet, champion: Pipeline | None = None
) -> dict[str, Scored]:
    """What the cascade, its parts, the baselines and the champion say of the test span."""
    calibration, test = training_set.calibration, training_set.test
    decoded = [pipeline.decode(columns_of(span)) for span in (calibration, test)]
    inferred = pipeline.infer(decoded[1])
    by_model = {
        CANDIDATE: (pipeline.infer(decoded[0]).scores, inferred.scores),
        **_parts(pipeline, decoded),
        **_baselines(pipeline, training_set, decoded),
    }
    if champion is not None:
        by_model[CHAMPION] = (scores(champion, calibration), scores(champion, test))
    costs = pipeline.params.costs
    values = {
        model: _costs(costs, calibration, on_calibration, test, on_test)
        for model, (on_calibration, on_test) in by_model.items()
    }
    values[CANDIDATE] |= _routed(pipeline, inferred, _labels(test), test["amount"].to_numpy())
    return {model: Scored(on_test, values[model]) for model, (_, on_test) in by_model.items()}


def metrics(test: pl.DataFrame) -> dict[str, Metric]:
    """Fraud's metrics; the cards of the handbook's measure are customers, as in the book."""
    days = test["event_at"].dt.date().to_physical().to_numpy()
    _, first, customers = np.unique(
        test["customer_id"].to_numpy(), return_index=True, return_inverse=True
    )
    return {
        "average_precision": average_precision,
        "auc_roc": auc_roc,
        f"card_precision_at_{CARDS_CHECKED}": lambda labels, found, weights: card_precision_at_k(
            days, customers, labels, found, CARDS_CHECKED, weights[:, first]
        ),
        "recall_at_precision_50": recall_at_precision,
        "calibration_error": expected_calibration_error,
        "calibration_bias": calibration_bias,
        "brier": brier,
    }


def slices(test: pl.DataFrame) -> dict[str, Array]:
    """Parts of the payments on which a good average can hide a bad model."""
    band = np.searchsorted(AMOUNT_BANDS, test["amount"].to_numpy(), side="right") - 1
    since = test["customer_age_days"].fill_nan(None).fill_null(0.0).to_numpy()
    parts = {
        "amount from": np.array(AMOUNT_BANDS)[band].astype(int).astype(str),
        "customer": np.where(since < 30, "new (under 30 days)", "known"),
        "channel": test["channel"].fill_null("unknown").to_numpy().astype(str),
        "country": test["country"].fill_null("unknown").to_numpy().astype(str),
    }
    if SCHEME in test.columns:
        # Each kind of fraud against all honest payments.
        kinds = test[SCHEME].fill_null(HONEST).to_numpy().astype(str)
        for kind in np.unique(kinds[kinds != HONEST]):
            parts[f"{SCHEME} {kind}"] = np.where(
                (kinds == kind) | (kinds == HONEST), "and honest", ""
            )
    return parts


def _routed(
    pipeline: FraudPipeline, inferred: Inferred, labels: Array, amount: Array
) -> dict[str, Array]:
    """Shares by tier and by decision as served, and what the rules let through."""
    levels = pipeline.thresholds_.levels(inferred.scores)
    by_decision = pipeline.params.costs.of(labels, amount)
    names = [tier.name for tier in pipeline.tiers]
    by_rules = inferred.tiers == names.index(RULES)
    return {
        "cost_per_payment": by_decision[levels, np.arange(len(levels))],
        **{name: (levels == level) * 1.0 for level, name in enumerate(DECIDED)},
        **{f"by_{name}": (inferred.tiers == tier) * 1.0 for tier, name in enumerate(names)},
        "fraud_approved_by_rules": by_rules * (levels == 0) * labels,
    }


def _parts(pipeline: FraudPipeline, decoded: list[Array]) -> dict[str, tuple[Array, Array]]:
    """Scores of the stack and of its parts on whole spans."""
    found = [pipeline.parts(matrix) for matrix in decoded]
    return {model: (found[0][model], found[1][model]) for model in found[0]}


def _baselines(
    pipeline: FraudPipeline, training_set: TrainingSet, decoded: list[Array]
) -> dict[str, tuple[Array, Array]]:
    """Scores on the calibration and the test span, from the candidate's own decoded rows."""
    train = pipeline.decode(columns_of(training_set.train))[:, :WIDTH]
    logistic = logistic_regression(train, _labels(training_set.train))
    calibration, test = decoded
    return {
        RULES: (BOOK.scores(BOOK.hits(calibration)), BOOK.scores(BOOK.hits(test))),
        LOGISTIC: (
            logistic.predict_proba(calibration[:, :WIDTH])[:, 1],
            logistic.predict_proba(test[:, :WIDTH])[:, 1],
        ),
    }


def logistic_regression(matrix: Array, labels: Array, seed: int = 0) -> Any:
    """Logistic regression on standardised inputs, unknown ones at their mean."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    honest = np.flatnonzero(labels == 0)
    if len(honest) > LOGISTIC_ROWS:
        honest = np.random.default_rng(seed).choice(honest, LOGISTIC_ROWS, replace=False)
    rows = np.sort(np.concatenate([honest, np.flatnonzero(labels)]))
    model = make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=300)
    )
    return model.fit(matrix[rows], labels[rows])


def _costs(
    costs: Costs,
    calibration: pl.DataFrame,
    on_calibration: Array,
    test: pl.DataFrame,
    on_test: Array,
) -> dict[str, Array]:
    """Cost of each test payment under the thresholds that were cheapest on the calibration span."""
    thresholds = cheapest_thresholds(
        on_calibration, _labels(calibration), calibration["amount"].to_numpy(), costs
    )
    levels = thresholds.levels(on_test)
    by_decision = costs.of(_labels(test), test["amount"].to_numpy())
    return {
        "cost_per_payment": by_decision[levels, np.arange(len(levels))],
        "reviewed": (levels == 1).astype(float),
        "declined": (levels == 2).astype(float),
    }


def _labels(frame: pl.DataFrame) -> Array:
    return frame[LABEL].cast(pl.Float64).to_numpy()
