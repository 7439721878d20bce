"""Driving something that makes lists as customers would: a Predictor in process, or a service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.simulator.play import Lists, play
from agora.simulator.shopping import frames_of, list_ids
from agora.simulator.truth import KINDS
from agora.simulator.visits import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from agora.simulator.arrays import Ints
    from agora.simulator.play import Pages
    from agora.simulator.visits import Plan
    from agora.simulator.world import World

    Ask = Callable[[list[dict[str, Any]]], Sequence[dict[str, Any] | None]]


def drive(world: World, ask: Ask, day: date, sessions: int, seed: int) -> dict[str, pl.DataFrame]:
    """Let visits of a day happen with the lists that `ask` makes.

    Equal seeds give equal visits, whoever makes the lists: `comparison.difference` compares two.

    Args:
        world: The truth.
        ask: Takes a batch of requests, all for one page: `request_id, customer_id, k, filters,
            session` of `/recommend`, or `request_id, query, customer_id, k, filters` of `/search`,
            each with its `event_at`. Gives an answer for each, `{"prediction_id", "items":
            [{"product_id", "position", "propensity"}]}` and `total` if more was found; None for
            none.
        day: UTC; from it on the world may be asked.
        sessions: Visits.
        seed: Of the visits and of what customers do.

    Returns:
        `searches`, `impressions` and `interactions` with the columns of their contracts.
    """
    plan = make_plan(world, day, sessions, seed, f"{day:%y%m%d}r{seed}")
    return frames_of(world, [play(world, plan, AskedShop(world, plan, ask), seed)], seed)


class AskedShop:
    """A shop whose lists someone else makes.

    Attributes:
        predictions: Id of the answer by id of the list.
    """

    def __init__(self, world: World, plan: Plan, ask: Ask) -> None:
        self._world = world
        self._plan = plan
        self._ask = ask
        self.predictions: dict[str, str] = {}

    def __call__(self, pages: Pages) -> Lists:
        """Ask for all pages at once."""
        requests = list(self._requests(pages))
        answers = self._ask(requests) if requests else []
        given = [answer or {} for answer in answers]
        self.predictions |= {
            request["request_id"]: answer["prediction_id"]
            for request, answer in zip(requests, given, strict=True)
            if "prediction_id" in answer
        }
        return lists_of(self._world, given, pages.length)

    def _requests(self, pages: Pages) -> Iterator[dict[str, Any]]:
        ids = list_ids(self._plan, pages.visit, pages.turn).to_list()
        customers = self._world.customer_ids.gather(pages.customer).to_list()
        texts = None if pages.queries is None else pages.queries.text().to_list()
        done = self._sessions(pages)
        for row, (list_id, customer) in enumerate(zip(ids, customers, strict=True)):
            request = {
                "request_id": list_id,
                "customer_id": customer if pages.is_known[row] else None,
                "k": pages.length,
                "filters": None,
                "event_at": written(int(pages.moment[row])),
            }
            if texts is None:
                yield {**request, "session": done.get(int(pages.visit[row]))}
            else:
                yield {**request, "query": texts[row]}

    def _sessions(self, pages: Pages) -> dict[int, list[dict[str, Any]]]:
        """What each visit did before, in order of time."""
        events = pages.events
        order = np.argsort(events.at, kind="stable")
        products = self._world.product_ids.gather(events.product[order]).to_list()
        found: dict[int, list[dict[str, Any]]] = {}
        for row, product in zip(order.tolist(), products, strict=True):
            kind, at = KINDS[events.kind[row]], written(int(events.at[row]))
            done = {"product_id": product, "kind": kind, "at": at}
            found.setdefault(int(events.visit[row]), []).append(done)
        return found


def lists_of(world: World, answers: Sequence[dict[str, Any]], length: int) -> Lists:
    """Answers as columns; a product that does not exist leaves its place empty."""
    items = [
        (row, place, item["product_id"], item.get("propensity"))
        for row, answer in enumerate(answers)
        for place, item in enumerate(answer.get("items", [])[:length])
    ]
    product: Ints = np.full((len(answers), length), -1)
    propensity = np.full((len(answers), length), np.nan)
    if items:
        rows, places, ids, chances = zip(*items, strict=True)
        at = (np.array(rows), np.array(places))
        product[at] = world.products_at(pl.Series(ids, dtype=pl.String))
        propensity[at] = pl.Series(chances, dtype=pl.Float64).fill_null(np.nan).to_numpy()
    found = [answer.get("total", len(answer.get("items", []))) for answer in answers]
    return Lists(product, propensity, np.array(found, dtype=np.int64))


def written(moment: int) -> str:
    """Microseconds as requests write times."""
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat().replace("+00:00", "Z")
