"""Live traffic: customers of the simulated world visit running services.

Each visit takes seconds instead of minutes. What was shown is landed as files, so that the next
training sees it; what was done is told to the services' `/outcomes`, which land it, or else landed
too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.simulator.client import Client, TrafficError
from agora.simulator.drive import AskedShop, written
from agora.simulator.landing import write
from agora.simulator.params import SECOND
from agora.simulator.play import BETWEEN_PAGES, ROUNDS, Lists, nothing_shown, play
from agora.simulator.records import products_frame
from agora.simulator.shopping import TURNS, frames_of
from agora.simulator.truth import HOME, SEARCH
from agora.simulator.visits import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.simulator.play import Pages
    from agora.simulator.visits import Plan
    from agora.simulator.world import World

PACE = 0.02
"""Visits in a fiftieth of the time: 1.8 s between pages."""
TOLD = ("list_id", "session_id", "customer_id", "product_id", "kind")
PATHS = {HOME: "/recommend", SEARCH: "/search"}
WAVE_SECONDS = len(ROUNDS) * BETWEEN_PAGES * PACE / SECOND
"""So long one wave of visits takes, from the first page to the last click."""


@dataclass
class Report:
    """What traffic did.

    Attributes:
        sessions: Visits.
        asked: Requests for lists, by path.
        failed: Those that got no answer, by path.
        milliseconds: Time of each answer.
        rows: Rows landed, by table.
        told: Outcomes that a service took.
        refused: Outcomes that it refused, by its answer.
    """

    sessions: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    told: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        quantiles = np.quantile(self.milliseconds, (0.5, 0.99)) if self.milliseconds else (0, 0)
        return (
            f"{self.sessions:,} sessions; asked {self.asked}, failed {self.failed or 'none'}; "
            f"p50 {quantiles[0]:.1f} ms, p99 {quantiles[1]:.1f} ms; landed {self.rows}; "
            f"outcomes taken {self.told:,}, refused {self.refused or 'none'}"
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who visits what.

    Attributes:
        world: The customers.
        services: Client by surface; a page without one is not asked for.
        landing: Root of the landing folders; None lands nothing.
        tells: Whether what was done is posted; else it is landed.
        rate: Visits a second.
        seed: Of the visits and of what customers do.
    """

    world: World
    services: Mapping[int, Client]
    landing: Path | None
    tells: bool
    rate: float
    seed: int

    def run(self, seconds: float) -> Report:
        """Send waves of visits for so long, at least one.

        Raises:
            TrafficError: A service cannot be reached at all.
        """
        for client in self.services.values():
            client.reach()
        if self.landing is not None:
            land_catalogue(self.world, self.landing, datetime.now(UTC))
        report, started = Report(), time.monotonic()
        run = f"{int(time.time()):x}"
        for wave in range(max(1, round(seconds / WAVE_SECONDS))):
            begins = started + wave * WAVE_SECONDS
            time.sleep(max(0.0, begins - time.monotonic()))
            self._wave(report, f"t{run}n{wave}", f"traffic {wave}")
        return report

    def _wave(self, report: Report, tag: str, part: str) -> None:
        now = datetime.now(UTC)
        count = max(1, round(self.rate * WAVE_SECONDS))
        plan = make_plan(self.world, now.date(), count, self.seed, tag, part)
        start_at = np.full(count, int(now.timestamp() * 1e6))
        shop = LiveShop(self, report, replace(plan, start_at=start_at, pace=PACE))
        played = play(self.world, shop.plan, shop, self.seed)
        report.sessions += count
        frames = frames_of(self.world, [played], self.seed)
        if self.tells:
            # The service lands what it is told: a second copy would be counted again.
            self._tell(frames.pop("interactions"), shop.predictions, report)
        if self.landing is not None:
            _land(frames, self.landing, tag, report)

    def _tell(
        self, interactions: pl.DataFrame, predictions: Mapping[str, str], report: Report
    ) -> None:
        """Post each interaction to the service whose list it came from."""
        for done in interactions.sort("event_at").to_dicts():
            turn = TURNS.index(done["list_id"][-1])
            body = {
                **{name: done[name] for name in TOLD},
                "at": written(int(done["event_at"].timestamp() * 1e6)),
                "prediction_id": predictions.get(done["list_id"]),
            }
            try:
                self.services[ROUNDS[turn]].post("/outcomes", body)
                report.told += 1
            except TrafficError as error:
                said = str(error)
                report.refused[said] = report.refused.get(said, 0) + 1


class LiveShop(AskedShop):
    """Asks the services, in real time."""

    def __init__(self, traffic: Traffic, report: Report, plan: Plan) -> None:
        super().__init__(traffic.world, plan, self._answers)
        self.plan = plan
        self._traffic = traffic
        self._report = report

    def __call__(self, pages: Pages) -> Lists:
        """Wait until it is time for these pages, then ask."""
        if pages.surface not in self._traffic.services:
            return nothing_shown(pages)
        if len(pages.moment):
            time.sleep(max(0.0, float(pages.moment.max()) / SECOND - time.time()))
        return super().__call__(pages)

    def _answers(self, requests: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
        surface = SEARCH if "query" in requests[0] else HOME
        return [self._answer(surface, request) for request in requests]

    def _answer(self, surface: int, request: dict[str, Any]) -> dict[str, Any] | None:
        """One answer; a live request is made now, so it carries no time."""
        path, report = PATHS[surface], self._report
        body = {name: value for name, value in request.items() if name != "event_at"}
        report.asked[path] = report.asked.get(path, 0) + 1
        started = time.perf_counter()
        try:
            answer = self._traffic.services[surface].post(path, body)
        except TrafficError as error:
            said = f"{path}: {error}"
            report.failed[said] = report.failed.get(said, 0) + 1
            return None
        report.milliseconds.append(1_000 * (time.perf_counter() - started))
        return answer


def land_catalogue(world: World, landing: Path, until: datetime) -> int:
    """Land what sellers tell of products after the simulated span; returns rows.

    Each day's file is written again while the day lasts.
    """
    since = datetime.fromtimestamp(world.params.end_at / SECOND, UTC)
    rows = products_frame(world).filter(
        pl.col("arrived_at").is_between(pl.lit(since), pl.lit(until), closed="left")
    )
    return _land_by_day(rows, landing / "products", "later")


def _land(frames: Mapping[str, pl.DataFrame], landing: Path, tag: str, report: Report) -> None:
    for name, frame in frames.items():
        rows = _land_by_day(frame, landing / name, f"traffic-{tag}")
        report.rows[name] = report.rows.get(name, 0) + rows


def _land_by_day(frame: pl.DataFrame, folder: Path, name: str) -> int:
    for (day,), rows in frame.group_by(pl.col("arrived_at").dt.date(), maintain_order=True):
        write(rows, folder / f"dt={day}" / f"{name}.parquet")
    return len(frame)
