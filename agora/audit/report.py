"""A trace as text, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agora.audit.trace import Trace

SHOWN = ("prediction_id", "system", "request_id", "predicted_at", "model_version", "decision",
         "score", "tier", "degraded", "fallbacks", "caller")  # fmt: skip
MOST_FILES = 12


def render(trace: Trace) -> RenderableType:
    """Prediction, features, model, files, outcome and verdict, one below the other."""
    return Group(
        _pairs("Prediction", {name: trace.prediction.get(name) for name in SHOWN}),
        _pairs("Request", trace.prediction["request"]),
        _features(trace),
        _pairs("Model", _flat(trace.model)),
        _files(trace),
        _outcome(trace),
        verdict(trace),
    )


def verdict(trace: Trace) -> Text:
    """Whether the score is the same when it is computed again."""
    if trace.recomputed is None:
        return Text(f"Not recomputed: {trace.problem}", style="yellow")
    said = f"{trace.prediction['score']:.9f} answered, {trace.recomputed:.9f} recomputed"
    if trace.equal:
        return Text(f"Equal: {said}; the features equal the offline rows.", style="green")
    wrong = [each["set"] for each in trace.features if not each["equal"]]
    named = ", ".join([*wrong, *trace.differing]) or "the score alone"
    return Text(f"NOT equal: {said}; differing: {named}", style="red")


def _pairs(title: str, pairs: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in pairs.items():
        table.add_row(name, str(value))
    return table


def _features(trace: Trace) -> Table:
    table = Table(title="Features", title_justify="left")
    for name in ("set", "entity", "held at", "known at", "table@version", "offline"):
        table.add_column(name)
    for each in trace.features:
        same = (
            "equal" if each["equal"] else "differs: " + ", ".join(each["differing"] or ["no row"])
        )
        table.add_row(
            each["set"], str(each["entity_id"]), str(each["feature_at"] or "no row"),
            str(each["arrived_at"] or ""), f"{each['table']}@{each['version']}", same,
        )  # fmt: skip
    return table


def _flat(model: dict[str, Any]) -> dict[str, Any]:
    return {
        **{k: v for k, v in model.items() if k != "training_set"},
        **model.get("training_set", {}),
    }


def _files(trace: Trace) -> Table:
    table = Table(
        title=f"Landing files ({len(trace.raw_files)}; the newest {MOST_FILES} here)",
        title_justify="left",
    )
    for name in ("table@version", "arrival day", "file", "rows"):
        table.add_column(name)
    newest = sorted(trace.raw_files, key=lambda each: each["arrival_date"])[-MOST_FILES:]
    for each in newest:
        table.add_row(
            f"{each['table']}@{each['version']}", str(each["arrival_date"]), each["source_file"],
            str(each["rows"]),
        )  # fmt: skip
    return table


def _outcome(trace: Trace) -> Table:
    if not trace.outcome:
        return _pairs("Outcome", {"": "none known yet"})
    return _pairs("Outcome", trace.outcome[0])
