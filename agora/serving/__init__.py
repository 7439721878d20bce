"""Serving: one path from a request to a logged prediction, live and in batch."""

from __future__ import annotations

from agora.serving.predictor import OutputError, Predictor
from agora.serving.requests import RequestError, Requests

__all__ = ["OutputError", "Predictor", "RequestError", "Requests"]
