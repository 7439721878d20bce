"""The record of a small real system of items, whose pipeline is `toy_items_pipeline`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.budgets import Budgets
from agora.entities.customers import CUSTOMER
from agora.entities.products import PRODUCT
from agora.evaluation import CANDIDATE, CHAMPION, Report, Scored, compare
from agora.gate import Gate
from agora.items import Items
from agora.metrics import average_precision
from agora.pipeline import columns_of
from agora.system import Page, System
from tests.toy_items_pipeline import CLICKS, LABEL, NAME, SETS, ToyItems
from tests.toy_items_schema import Listed, Prefix, Suggested, Wish

if TYPE_CHECKING:
    from datetime import datetime

    from agora.dataset import TrainingSet
    from agora.serving import Predictor

__all__ = ["CLICKS", "SETS", "ToyItems", "toy_items_system"]


def suggest(predictor: Predictor, params: Prefix) -> dict[str, Any]:
    known = sorted(set(predictor.pipeline.categories_.tolist()))
    return {"categories": [c for c in known if c.startswith(params.prefix)][: params.limit]}


def evaluate(
    pipeline: ToyItems, training_set: TrainingSet, champion: ToyItems | None = None
) -> Report:
    test = training_set.test
    clicks = columns_of(test.select(CLICKS))[CLICKS]
    models = {
        CANDIDATE: Scored(pipeline.weight_ * np.nan_to_num(clicks)),
        "anything": Scored(np.zeros(len(test))),
        **({CHAMPION: Scored(champion.weight_ * np.nan_to_num(clicks))} if champion else {}),
    }
    return compare(
        NAME, models, test[LABEL].cast(float).to_numpy(),
        np.unique(test["request_id"].to_numpy(), return_inverse=True)[1],
        {"average_precision": average_precision}, primary="average_precision", slices={},
        importance={CLICKS: 1.0},
        spans={k: (str(s.start), str(s.end)) for k, s in training_set.manifest.spans.items()},
    )  # fmt: skip


def index_gate(old: ToyItems | None, new: ToyItems) -> tuple[str, ...]:
    return () if np.isfinite(new.clicks_).all() else ("clicks are not finite",)


def toy_items_system() -> System:
    return System(
        name=NAME, owner=f"team:{NAME}", contact="toy@example.com", decision="Which products.",
        request=Wish, response=Listed, entities={CUSTOMER: "customer_id"}, feature_sets=SETS[0],
        label=LABEL, labelled=lambda lake, as_of: pl.DataFrame(),
        requests=lambda lake, day: pl.DataFrame(), build=ToyItems, load=ToyItems.load,
        evaluate=evaluate, gate=Gate(baselines=("anything",), tolerance=0.0),
        budgets=Budgets.model_validate(BUDGETS),
        golden=({"request_id": "golden"}, {"request_id": "filtered", "filters": {"category": "x"}}),
        items=Items(
            PRODUCT, "product_id", SETS[1], catalogue, reads=("marts/products",),
            keyed_by="customer_id",
        ),
        index_gate=index_gate, path="/recommend",
        pages=(
            Page(path="/suggest", summary="Categories.", params=Prefix, response=Suggested,
                 answer=suggest),
        ),
    )  # fmt: skip


def catalogue(lake: Any, as_of: datetime) -> pl.DataFrame:
    return lake.query(f"""
        from marts.products where arrived_at < timestamptz '{as_of.isoformat()}'
    """).drop("arrived_at")


BUDGETS = {
    "p99_ms": 400,
    "stages_ms": {
        "gateway": 20, "feature_lookup": 30, "retrieval": 100, "feature_computation": 50,
        "inference": 120, "business_logic": 40, "serialisation": 20, "buffer": 20,
    },
    "tiers_ms": {"fine": 60}, "goal_p99_ms": 60, "cpu_ratio": 2.0, "availability": 0.99,
    "degraded_share": 0.01, "freshness_hours": 26, "cost_per_prediction_usd": 0.01,
}  # fmt: skip
