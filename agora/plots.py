"""Plots of an evaluation report, as PNG bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from agora.evaluation import CANDIDATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from agora.evaluation import Report

INPUTS_SHOWN = 20
DOTS_PER_INCH = 110


def plots(report: Report) -> dict[str, bytes]:
    """File name to PNG: precision and recall, calibration, importance of the inputs."""
    return {
        "precision_recall.png": precision_recall(report),
        "calibration.png": calibration(report),
        "importance.png": importance(report),
    }


def precision_recall(report: Report) -> bytes:
    """Precision over recall, a line for each model."""
    figure, axes = _canvas("recall", "precision")
    for model, curve in report.curves.items():
        estimate = report.metrics[model][report.primary]
        label = f"{model}: {estimate.value:.3f}"
        axes.plot(
            curve["recall"], curve["precision"], label=label, lw=2 if model == CANDIDATE else 1
        )
    if report.curves:
        axes.legend(title=report.primary.replace("_", " "))
    return _png(figure)


def calibration(report: Report) -> bytes:
    """Observed over predicted share, on logarithmic scales: frauds are rare."""
    figure, axes = _canvas("predicted share", "observed share")
    # A bin without frauds has no place on a logarithmic scale.
    bins = [part for part in report.reliability if part["observed"] > 0 and part["predicted"] > 0]
    predicted = [part["predicted"] for part in bins]
    axes.plot(predicted, predicted, color="grey", lw=1, label="perfect")
    axes.plot(predicted, [part["observed"] for part in bins], "o-", label=CANDIDATE)
    if bins:
        axes.set(xscale="log", yscale="log")
    axes.legend()
    return _png(figure)


def importance(report: Report) -> bytes:
    """Share of the gain of the inputs that brought most."""
    figure, axes = _canvas("share of the gain", "")
    shown = list(report.importance.items())[:INPUTS_SHOWN][::-1]
    axes.barh([name for name, _ in shown], [share for _, share in shown])
    return _png(figure)


def _canvas(x: str, y: str) -> tuple[Figure, Axes]:
    # Not pyplot: it keeps figures in a global and is not safe for threads.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
