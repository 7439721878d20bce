"""The demo's traffic: an app sends a day's payments, analysts review what is flagged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.demo.service import calling

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from agora.demo.service import Caller
    from agora.settings import Settings

REQUESTS = 2_000
WARM_UP = 50


def drive(settings: Settings, project: Path, day: date) -> dict[str, Any]:
    """Send payments of a day one after the other, then the analysts' verdicts.

    The first requests warm the service up and are not measured.

    Returns:
        Latencies, counts of decisions and tiers, verdicts, one request with its answer.
    """
    payments = _payments(settings, day)
    with calling(settings, project, "fraud") as caller:
        answers, milliseconds = [], []
        for payment in payments:
            started = time.perf_counter()
            answers.append(caller.post("/score", payment, "score"))
            milliseconds.append(1_000 * (time.perf_counter() - started))
        verdicts = _review(settings, caller, payments, answers)
    measured = np.array(milliseconds[WARM_UP:])
    return {
        "requests": len(measured),
        "p50_ms": round(float(np.quantile(measured, 0.5)), 2),
        "p99_ms": round(float(np.quantile(measured, 0.99)), 2),
        "degraded": sum(answer["degraded"] for answer in answers),
        "decisions": _counts([answer["decision"] for answer in answers]),
        "tiers": _counts([answer["tier"] for answer in answers]),
        "verdicts": verdicts,
        "example": {"request": payments[-1], "answer": answers[-1]},
    }


def _payments(settings: Settings, day: date) -> list[dict[str, Any]]:
    from agora.registry import SYSTEMS
    from agora.stores.lake import Lake

    rows = SYSTEMS["fraud"].requests(Lake(settings.lake, settings.lake_options), day)
    # Without its time a payment is made now, as a live one is.
    return rows.tail(REQUESTS + WARM_UP).drop("event_at").to_dicts()


def _review(
    settings: Settings,
    caller: Caller,
    payments: list[dict[str, Any]],
    answers: list[dict[str, Any]],
) -> dict[str, int]:
    """Verdicts on everything that was not approved; the simulator knows the truth."""
    truth = pl.read_parquet(settings.home / "truth" / "payments.parquet")
    frauds = set(truth.filter("is_fraud")["payment_id"])
    found = []
    for payment, answer in zip(payments, answers, strict=True):
        if answer["decision"] != "approve":
            is_fraud = payment["payment_id"] in frauds
            found.append("fraud" if is_fraud else "genuine")
            caller.post(
                "/outcomes",
                {
                    "prediction_id": answer["prediction_id"],
                    "payment_id": payment["payment_id"],
                    "is_fraud": is_fraud,
                    "source": "verdict",
                },
                "analyst",
            )
    return _counts(found)


def _counts(values: list[str]) -> dict[str, int]:
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
