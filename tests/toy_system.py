"""A system whose answers are known by heart: fraud's request and response, a made-up model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, Field

from agora.cascade import Inferred, OneModel, Tier, infer
from agora.entities.cards import CARD, CARDS_DAILY
from agora.entities.customers import CUSTOMER, CUSTOMERS_RECENT
from agora.pipeline import Columns, seal, verify
from agora.system import System
from agora.systems.fraud.schema import Payment

if TYPE_CHECKING:
    from pathlib import Path

SETS = (CARDS_DAILY, CUSTOMERS_RECENT)
PAYMENT = {
    "payment_id": "p-1", "customer_id": "c-1", "card_id": "k-1", "merchant_id": "m-1",
    "device_id": None, "amount": 50.0, "currency": "EUR", "channel": "web", "country": "FR",
    "latitude": None, "longitude": 2.5, "event_at": "2026-03-01T12:00:00Z",
}  # fmt: skip
EVENT_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Decision(BaseModel):
    """What the toy answers."""

    prediction_id: str
    model_version: str
    degraded: bool
    fallbacks: list[str]
    decision: Literal["approve", "review", "decline"]
    score: float = Field(ge=0, le=1)
    reasons: list[str]


class ToyPipeline:
    """Scores a payment by its amount and the card's payments of 30 days."""

    outputs: ClassVar[dict[str, Any]] = {
        "decision": pl.String,
        "score": pl.Float64,
        "reasons": pl.List(pl.String),
    }

    def __init__(self, version: str = "1", scale: float = 100.0) -> None:
        self.version = version
        self.scale = scale

    def fit(self, training_set: Any) -> Self:
        return self

    def decode(self, columns: Columns) -> np.ndarray[Any, Any]:
        return np.column_stack([columns["amount"], columns["card_payment_count_30d"]])

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return (OneModel(self.scores),)

    def scores(self, matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return matrix[:, 0] / (matrix[:, 0] + self.scale + matrix[:, 1])

    def infer(self, matrix: np.ndarray[Any, Any]) -> Inferred:
        return infer(self.tiers, matrix)

    def decide(
        self, inferred: Inferred, matrix: np.ndarray[Any, Any], columns: Columns
    ) -> dict[str, list[Any]]:
        scores = inferred.scores
        decisions = np.where(scores > 0.5, "review", "approve").tolist()
        return {"decision": decisions, "score": scores.tolist(), "reasons": [[] for _ in decisions]}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "toy.json").write_text(json.dumps({"scale": self.scale}))
        seal(
            folder, system="toy", version=self.version, inputs=("amount",), outputs=self.outputs,
            feature_sets=tuple(s.id for s in SETS), params={}, libraries=(),
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Self:
        manifest = verify(folder, system="toy", feature_sets=tuple(s.id for s in SETS))
        return cls(manifest.version, json.loads((folder / "toy.json").read_text())["scale"])


def toy_system() -> System:
    return System(
        name="toy", owner="team:toy", contact="toy@example.com", decision="whether to play",
        request=Payment, response=Decision, entities={CUSTOMER: "customer_id", CARD: "card_id"},
        feature_sets=SETS, label="is_fraud", labelled=lambda lake, as_of: pl.DataFrame(),
        requests=lambda lake, day: pl.DataFrame(), build=ToyPipeline, load=ToyPipeline.load,
        evaluate=None, gate=None, budgets=None, golden=(PAYMENT,),
    )  # fmt: skip
