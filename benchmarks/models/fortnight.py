"""A fortnight of visits, lived with a pipeline's lists and with what is most popular.

Days begin with an index of what was listed and of what this life showed and sold so far; the models
stay as they were fitted. Each life answers searches alike: by titles, and what it sold itself.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.items import catalogue_of
from agora.pipeline import chunks
from agora.simulator.baselines import MostPopular
from agora.simulator.comparison import together
from agora.simulator.drive import drive
from agora.simulator.instead import drive_and_judge
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.pipeline import OUTPUTS

if TYPE_CHECKING:
    from agora.pipeline import Columns
    from agora.simulator.world import World
    from agora.stores.lake import Lake
    from agora.systems.recommendation.pipeline import RecommendationPipeline
    from benchmarks.models.live_features import Live

Frames = dict[str, pl.DataFrame]
Requests = list[dict[str, Any]]
KEPT = ("product_id", "position", "score", "propensity", "source")


@dataclass(frozen=True, slots=True)
class Fortnight:
    """A life with a pipeline.

    Attributes:
        frames: Searches, impressions and interactions of all days.
        lists: What was shown on the home page: `list_id`, `at` and `KEPT`, one row per place.
        instead: What would have been shown without exploration, of the same columns.
        judged: What that is worth by truth, of the columns of `drive_and_judge`.
    """

    frames: Frames
    lists: pl.DataFrame
    instead: pl.DataFrame
    judged: pl.DataFrame


class Shop:
    """Answers requests of a day with a pipeline's lists; keeps them, and those without exploration.

    Args:
        pipeline: Over the day's index.
        searched: Answers searches.
        live: What is known of customers.
    """

    def __init__(self, pipeline: RecommendationPipeline, searched: MostPopular, live: Live) -> None:
        self._pipeline, self._searched, self._live = pipeline, searched, live
        self._sure = without_exploration(pipeline)
        self._latest: list[dict[str, Any]] = []
        self._shown: list[pl.DataFrame] = []
        self._others: list[pl.DataFrame] = []

    def ask(self, requests: Requests) -> list[dict[str, Any]]:
        """The lists that are shown."""
        if "query" in requests[0]:
            return self._searched(requests)
        parts = [self._decided(part) for part in chunks(self._pipeline, self._frame(requests))]
        ours, others = ([items for part in parts for items in part[which]] for which in (0, 1))
        self._shown.append(_listed(requests, ours))
        self._others.append(_listed(requests, others))
        self._latest = _answers(requests, others)
        return _answers(requests, ours)

    def instead(self, requests: Requests) -> list[dict[str, Any]]:
        """The lists without exploration, of the requests of the last call of `ask`."""
        assert [each["prediction_id"] for each in self._latest] == _ids(requests), "asked before"
        return self._latest

    def lists(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What was shown, and what would have been without exploration; one row per place."""
        return pl.concat(self._shown), pl.concat(self._others)

    def _frame(self, requests: Requests) -> pl.DataFrame:
        return self._live.columns(requests)

    def _decided(self, part: Columns) -> tuple[list[Any], list[Any]]:
        matrix = self._pipeline.decode(part)
        inferred = self._pipeline.infer(matrix)
        ours, others = (
            pipeline.decide(inferred, matrix, part)["items"]
            for pipeline in (self._pipeline, self._sure)
        )
        return ours, others


def without_exploration(pipeline: RecommendationPipeline) -> RecommendationPipeline:
    """The same pipeline, its places never shared out."""
    other = copy(pipeline)
    never = replace(pipeline.params.exploration, epsilon=0.0)
    other.params = replace(pipeline.params, exploration=never)
    return other


def recommended(
    world: World,
    pipeline: RecommendationPipeline,
    lake: Lake,
    live: Live,
    days: list[date],
    sessions: int,
    seed: int,
) -> Fortnight:
    """The days with a pipeline.

    Args:
        world: The truth.
        pipeline: Fitted on what was before.
        lake: With the catalogue of all days.
        live: What was before.
        days: In order.
        sessions: Visits a day.
        seed: Of visits.
    """
    parts: list[tuple[Frames, pl.DataFrame, tuple[pl.DataFrame, pl.DataFrame]]] = []
    for day in days:
        midnight = datetime.combine(day, datetime.min.time(), UTC)
        items = live.items(catalogue_of(SYSTEM, lake, midnight), midnight)
        searched = MostPopular(world, live.done, day)
        shop = Shop(pipeline.with_items(items), searched, live)
        frames, judged = drive_and_judge(world, shop.ask, shop.instead, day, sessions, seed)
        live = live.after(frames)
        parts.append((frames, judged, shop.lists()))
    return Fortnight(
        together([frames for frames, _, _ in parts]),
        pl.concat([lists for _, _, (lists, _) in parts]),
        pl.concat([others for _, _, (_, others) in parts]),
        pl.concat([judged for _, judged, _ in parts]),
    )


def most_popular(world: World, live: Live, days: list[date], sessions: int, seed: int) -> Frames:
    """The same days with what this life sold most.

    Args:
        world: The truth.
        live: What was before.
        days: In order.
        sessions: Visits a day.
        seed: Of visits.
    """
    found = []
    for day in days:
        frames = drive(world, MostPopular(world, live.done, day), day, sessions, seed)
        live = live.after(frames)
        found.append(frames)
    return together(found)


def _ids(requests: Requests) -> list[str]:
    return [request["request_id"] for request in requests]


def _answers(requests: Requests, lists: list[Any]) -> list[dict[str, Any]]:
    return [
        {"prediction_id": list_id, "items": items}
        for list_id, items in zip(_ids(requests), lists, strict=True)
    ]


def _listed(requests: Requests, lists: list[Any]) -> pl.DataFrame:
    schema = {"list_id": pl.String, "at": pl.String, "items": OUTPUTS["items"]}
    frame = pl.DataFrame(
        {"list_id": _ids(requests), "at": [each["event_at"] for each in requests], "items": lists},
        schema=schema,
    )
    rows = frame.explode("items").unnest("items").drop_nulls("product_id")
    return rows.with_columns(pl.col("at").str.to_datetime(time_zone="UTC")).select(
        "list_id", "at", *KEPT
    )
