"""The main job on one laptop: simulate a marketplace, materialize the graph, call the endpoint.

Steps that are done are remembered in `<home>/demo.json`, so a second call goes on where the first
stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

from agora.demo.service import TrafficError
from agora.demo.traffic import drive
from agora.demo.visits import SURFACES, visit
from agora.processes import run_side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

    from agora.settings import Settings

STAGES = ("predictions", "lists", "prediction_log", "outcomes", "monitoring")
LOOP = " or ".join(f'key:"*/{stage}"' for stage in STAGES)
"""What is made of answers, once there are some."""
DONE = " or ".join(f'key:"{layer}/interactions"' for layer in ("raw", "marts"))
"""What the visitors of today did."""
FRAUD = 'group:"fraud"'
OTHERS = " or ".join(f'group:"{system}"' for system in SURFACES)
RETRAINING = "fraud_retrain"
SCORED_DAYS = 1
"""Days at the end that are scored in batch."""
HELD_BACK_DAYS = 11
"""Days that the first model does not know: enough new labels of analysts to call for a second."""
SEED = 7
FRAUD_SHARE = 0.01
"""So that two test weeks hold some two hundred frauds: fewer cannot tell two models apart."""


class DemoError(Exception):
    """A step failed; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the steps share."""

    settings: Settings
    console: Console
    project: Path
    start: date
    end: date
    only_fraud: bool = False

    @property
    def days(self) -> int:
        """Days that are simulated."""
        return (self.end - self.start).days


def run(
    settings: Settings,
    console: Console,
    *,
    project: Path,
    days: int,
    fresh: bool,
    only_fraud: bool = False,
) -> None:
    """Run every step that is not done yet, then print the summary.

    With `only_fraud` the systems that answer with lists are left out.

    Raises:
        DemoError: A step failed; what was done before it is kept.
    """
    from agora.demo.summary import summary

    state_file = settings.home / "demo.json"
    state = {} if fresh else _read(state_file)
    if (state.get("days"), state.get("only_fraud", False)) != (days, only_fraud):
        today = datetime.now(UTC).date()
        start = today - timedelta(days=days)
        state = {"days": days, "only_fraud": only_fraud, "start": str(start), "end": str(today)}
        state["done"] = {}
    demo = Demo(
        settings,
        console,
        project,
        date.fromisoformat(state["start"]),
        date.fromisoformat(state["end"]),
        only_fraud,
    )
    began = perf_counter()
    for number, (name, title, step) in enumerate(STEPS, start=1):
        if name in state["done"]:
            console.print(f"[dim]{number}/{len(STEPS)} {title}: done before, kept[/]")
            continue
        console.print(f"[bold]{number}/{len(STEPS)} {title}[/]")
        started = perf_counter()
        state["done"][name] = {**(step(demo) or {}), "seconds": round(perf_counter() - started, 1)}
        _write(state_file, state)
        console.print(f"[green]    done[/] in {state['done'][name]['seconds']:.0f} s")
    console.print(summary(settings, state["done"], perf_counter() - began))


def simulate(demo: Demo) -> dict[str, Any]:
    """Write the marketplace's landing files."""
    from pathlib import Path

    from rich.progress import Progress

    from agora.simulator import Params
    from agora.simulator import simulate as run

    params = Params(seed=SEED, start=demo.start, days=demo.days, fraud_share=FRAUD_SHARE)
    if demo.only_fraud:
        params = replace(params, sessions_per_day=0)
    with Progress(console=demo.console, transient=True) as progress:
        task = progress.add_task("landing files", total=demo.days)
        run(
            params,
            Path(demo.settings.landing),
            demo.settings.home / "truth",
            lambda _: progress.advance(task),
        )
    return {}


def build(demo: Demo) -> dict[str, Any]:
    """Materialize the graph up to the deployed bento, trained on what was known days before."""
    known = ("--as-of", str(demo.end - timedelta(days=HELD_BACK_DAYS)))
    before = f"not ({LOOP})"
    if demo.only_fraud:
        _materialize(demo, demo.start, demo.end, [f"{before} and not ({OTHERS})", *known])
        return {}
    _materialize(demo, demo.start, demo.end, [f"{before} and not ({FRAUD} or {OTHERS})"])
    # A training runs on one core, mostly: two cores train two systems.
    systems = [[f"{before} and ({each})", *known] for each in (FRAUD, OTHERS)]
    _materialize(demo, demo.start, demo.end, *systems)
    return {}


def call(demo: Demo) -> dict[str, Any]:
    """Serve the bento, send it the last day's payments and the analysts' verdicts on them."""
    try:
        return drive(demo.settings, demo.project, demo.end - timedelta(days=1))
    except TrafficError as error:
        raise DemoError(str(error)) from error


def shop(demo: Demo) -> dict[str, Any]:
    """Serve the other bentos, let simulated customers visit them and do what they like."""
    if demo.only_fraud:
        return {}
    try:
        return visit(demo.settings, demo.project)
    except TrafficError as error:
        raise DemoError(str(error)) from error


def close(demo: Demo) -> dict[str, Any]:
    """Join outcomes, monitor, and train again where the sensor says so; the gate decides."""
    start = demo.end - timedelta(days=SCORED_DAYS)
    # The endpoint answered today.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    fraud = [f"({LOOP}) and {FRAUD}", "--then", RETRAINING]
    others = [f"(({LOOP}) and ({OTHERS})) or {DONE}"]
    _materialize(demo, start, tomorrow, *([fraud] if demo.only_fraud else [fraud, others]))
    return {}


STEPS: tuple[tuple[str, str, Callable[[Demo], dict[str, Any]]], ...] = (
    ("simulate", "Simulate a marketplace", simulate),
    ("build", "Raw data, features, models, gates, indexes, bentos", build),
    ("call", "Traffic: payments to the endpoint, verdicts of analysts", call),
    ("shop", "Visits: lists and searches, clicks, carts and purchases", shop),
    ("close", "Close the loop: outcomes, monitoring, a new model, the gate's decision", close),
)


def _materialize(demo: Demo, start: date, end: date, *runs: Sequence[str]) -> None:
    """Materialize side by side; of each run its selection, and further arguments."""
    each = [
        ["--start", f"{start}", "--end", f"{end}", "--select", select, *more]
        for select, *more in runs
    ]
    codes = run_side_by_side("assets.run", each, demo.settings, demo.project)
    failed = [select for code, (select, *_) in zip(codes, runs, strict=True) if code]
    if failed:
        raise DemoError(
            f"materializing {' and '.join(map(repr, failed))} failed; the reason is above. "
            "`make ui` shows the run; `make demo` goes on from here."
        )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _write(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(state, indent=2))
    fresh.replace(path)
