"""What the demo made, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from agora.demo.visits import SURFACES
from agora.evaluation import CANDIDATE, CHAMPION
from agora.stores.decisions import read as decisions
from agora.stores.lake import Lake

if TYPE_CHECKING:
    from agora.evaluation import Estimate, Report
    from agora.settings import Settings

LAYERS = (
    "raw", "quarantine", "staging", "marts", "features",
    "fraud", "recommendation", "search", "predictions",
)  # fmt: skip
SHOWN = {
    "average_precision": "average precision",
    "auc_roc": "AUC ROC",
    "cost_per_payment": "cost, EUR",
}


def summary(settings: Settings, done: dict[str, Any], seconds: float) -> Group:
    """Rows by layer, models against baselines, gates, latencies, where to look next."""
    return Group(
        _rows(settings),
        _model(settings),
        _calls(done["call"]),
        *([_lists(settings, done["shop"])] if "visits" in done["shop"] else []),
        _loop(settings),
        _next(settings, done, seconds),
    )


def _rows(settings: Settings) -> Table:
    lake = Lake(settings.lake, settings.lake_options)
    table = Table(title="Rows by layer", title_justify="left")
    for column in ("layer", "tables", "rows"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    names = lake.tables()
    for layer in LAYERS:
        members = [name for name in names if name.startswith(f"{layer}/")]
        if members:
            rows = sum(_count(lake, name) for name in members)
            table.add_row(layer, str(len(members)), f"{rows:,}")
    return table


def _count(lake: Lake, name: str) -> int:
    return int(lake.query(f"select count(*) from {name.replace('/', '.')}").item())


def _model(settings: Settings) -> Table:
    from agora.registry import SYSTEMS
    from agora.stores.models import ModelRegistry

    registry, fraud = ModelRegistry(settings), SYSTEMS["fraud"]
    report = registry.report(fraud, registry.alias(fraud, CHAMPION) or "")
    result = fraud.gate.check(report)
    start, end = (time[:10] for time in report.spans["test"])
    table = Table(
        title=f"Fraud, {report.rows:,} payments from {start} to {end}, {report.positives} frauds",
        title_justify="left",
        caption=f"gate: {'passed' if result.passed else 'refused'}",
        caption_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model", no_wrap=True)
    for title in SHOWN.values():
        table.add_column(title, justify="right", no_wrap=True)
    for model in report.metrics:
        label = f"model {registry.alias(fraud, CHAMPION)}"
        name = label if model == CANDIDATE else model.replace("_", " ")
        table.add_row(name, *_cells(report, model))
    return table


def _cells(report: Report, model: str) -> list[str]:
    metrics = report.metrics[model]
    return [_short(metrics[name]) if name in metrics else "" for name in SHOWN]


def _short(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _calls(call: dict[str, Any]) -> Table:
    table = Table(
        title=f"POST /score, one client: {call['requests']} requests, p50 {call['p50_ms']} ms, "
        f"p99 {call['p99_ms']} ms, {call['degraded']} degraded",
        title_justify="left",
        show_header=False,
    )
    for name in ("tiers", "decisions", "verdicts"):
        table.add_row(name, ", ".join(f"{count} {what}" for what, count in call[name].items()))
    return table


def _lists(settings: Settings, shop: dict[str, Any]) -> Table:
    """The systems that answer with lists: each model beside its baselines, and the visits."""
    from agora.registry import SYSTEMS
    from agora.stores.models import ModelRegistry

    asked = ", ".join(f"{count} POST {path}" for path, count in shop["asked"].items())
    table = Table(
        title=f"{shop['visits']} visits: {asked}, p50 {shop['p50_ms']} ms, p99 {shop['p99_ms']} "
        f"ms; {shop['outcomes']} clicks, carts and purchases reported",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for title in ("system", "metric", "model", "baselines", "gate"):
        table.add_column(title, no_wrap=title != "baselines")
    registry = ModelRegistry(settings)
    for system in SYSTEMS.values():
        if system.items is None:
            continue
        report = registry.report(system, registry.alias(system, CHAMPION) or "")
        shown = {model: metrics.get(report.primary) for model, metrics in report.metrics.items()}
        table.add_row(
            system.name,
            report.primary.replace("_", " "),
            _short(report.metrics[CANDIDATE][report.primary]),
            ", ".join(
                f"{model.replace('_', ' ')} {estimate.value:.3f}"
                for model, estimate in shown.items()
                if estimate is not None and model not in (CANDIDATE, CHAMPION)
            ),
            "passed" if system.gate.check(report).passed else "refused",
        )
    return table


def _loop(settings: Settings) -> Table:
    """What became of the answers, and who decided what on the models."""
    lake = Lake(settings.lake, settings.lake_options)
    table = Table(title="The loop", title_justify="left", show_header=False)
    for name in ("fraud", *SURFACES):
        if lake.exists(f"{name}/outcomes"):
            joined = _count(lake, f"{name}/outcomes")
            table.add_row("outcomes", f"{joined:,} labels joined to predictions of {name}")
    for each in decisions(lake, "fraud").iter_rows(named=True):
        what = f"{each['action']} by {each['by']}"
        if each["stimulus"]:
            what += f", trained for {each['stimulus']}"
        table.add_row(f"model {each['version']}", f"{what}: {'; '.join(each['reasons'])}")
    return table


def _next(settings: Settings, done: dict[str, Any], seconds: float) -> Text:
    steps = ", ".join(f"{name} {step['seconds']:.0f} s" for name, step in done.items())
    return Text(
        f"\n{seconds:.0f} s in this call ({steps}). State: {settings.home}\n\n"
        "Where to look next\n"
        "  make ui      the graph, checks, metadata and plots: http://127.0.0.1:3001\n"
        "  make serve   fraud's endpoint: POST http://127.0.0.1:"
        f"{settings.service_port}/score, its OpenAPI document at /openapi.json\n"
        "  make serve NAME=search   and NAME=recommendation; docs/calling.md says what to call\n"
        "  docs/bring-your-data.md   your own payments instead of the simulated ones\n"
    )
