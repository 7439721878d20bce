"""Golden requests: what a version must answer, on any machine, before it takes over."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agora.serving.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.pipeline import Pipeline
    from agora.system import System

# Machines may add in another order; a wrong model is off by far more.
TOLERANCE = 1e-9
# Times a budget: a machine that busy does nothing else.
PATIENCE = 1e6


def golden_requests(system: System) -> list[dict[str, Any]]:
    """The system's golden requests, with their time fixed so that answers can be compared."""
    fixed = (
        {"event_at": datetime.now(UTC).isoformat()}
        if "event_at" in system.request.model_fields
        else {}
    )
    return [{**fixed, **request} for request in system.golden]


def patient(system: System) -> System:
    """The system, which gives nothing up: what a busy machine makes late belongs to its answer."""
    if not system.budgets:
        return system
    return replace(system, budgets=system.budgets.model_copy(update={"give_up": PATIENCE}))


def answer_of(system: System, pipeline: Pipeline, request: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's answer without an online store, and however long it takes.

    A tier or a retrieval that a busy machine makes late would be left out of the next answer.
    """
    return Predictor(patient(system), pipeline).predict_one(request).model_dump(mode="json")


def golden_answers(system: System, pipeline: Pipeline) -> list[dict[str, Any]]:
    """Golden requests, each with the answer that the pipeline gives without an online store."""
    return [
        {"request": request, "answer": answer_of(system, pipeline, request)}
        for request in golden_requests(system)
    ]


def first_difference(
    system: System, pipeline: Pipeline, golden: list[dict[str, Any]]
) -> str | None:
    """What differs first between the pipeline's golden answers and those given; None if nothing."""
    for number, pair in enumerate(golden):
        answer = answer_of(system, pipeline, pair["request"])
        if (field := differing_field(pair["answer"], answer)) is not None:
            return f"golden request {number} is answered differently in {field}"
    return None


def differing_field(expected: dict[str, Any], answer: dict[str, Any]) -> str | None:
    """First field in which two answers differ, beside their ids; None if there is none."""
    for field in sorted(expected.keys() | answer.keys()):
        if field != "prediction_id" and not same(expected.get(field), answer.get(field)):
            return field
    return None


def same(left: Any, right: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two answers, or parts of them, are equal; numbers within a tolerance."""
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(left[key], right[key], tolerance) for key in left
        )
    if isinstance(left, list) and isinstance(right, list):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(same(*pair, tolerance) for pair in pairs)
    return bool(left == right)
