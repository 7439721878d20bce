"""A few lists that were shown in the shop, and what came of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.stores.lake import Lake

if TYPE_CHECKING:
    from pathlib import Path

DAY = datetime(2026, 4, 1, 12, tzinfo=UTC)
LATER = DAY + timedelta(days=2)
ANSWER = "019ea3f0-6c00-7abc-8def-0123456789ab"


def at(minutes: float) -> datetime:
    """Minutes after noon."""
    return DAY + timedelta(minutes=minutes)


def shown(list_id: str, product: str, position: int, minutes: float, **more: Any) -> dict[str, Any]:
    """A product shown on the home page."""
    return {
        "impression_id": f"{list_id}-{position}", "list_id": list_id, "surface": "home",
        "session_id": "s1", "customer_id": "c1", "product_id": product, "position": position,
        "propensity": 0.5, "query": None, "event_at": at(minutes), "arrived_at": at(minutes + 1),
        **more,
    }  # fmt: skip


def done(product: str, kind: str, minutes: float, **more: Any) -> dict[str, Any]:
    """Something done with a product of the list `l1`."""
    return {
        "interaction_id": f"{product}-{kind}-{minutes}", "list_id": "l1", "session_id": "s1",
        "customer_id": "c1", "product_id": product, "kind": kind, "event_at": at(minutes),
        "arrived_at": at(minutes + 1), **more,
    }  # fmt: skip


def typed(query: str, minutes: float = 0) -> dict[str, Any]:
    """A search."""
    return {"query": query, "event_at": at(minutes), "arrived_at": at(minutes + 1)}


IMPRESSIONS = (
    shown("l1", "p1", 1, 0), shown("l1", "p2", 2, 0), shown("l2", "p3", 1, 30),
    shown("l3", "p1", 1, 5, surface="search", query=" lamp "),
    shown("l3", "p2", 2, 6, surface="search", query=" lamp "),
    shown("l5", "p1", 1, 7, surface="search", query="  "),
    shown("l4", "p1", 1, 60, session_id="s2", customer_id=None),
)  # fmt: skip
INTERACTIONS = (
    done("p2", "click", 1), done("p2", "cart", 2), done("p2", "purchase", 2_000),
    done("p9", "click", 10, list_id=None),
    done("p3", "click", 31, list_id="l2"),
    done("p1", "click", 61, list_id="l4", session_id="s2", customer_id=None),
    done("p7", "click", 90, list_id=ANSWER, customer_id="c2"),
)  # fmt: skip
SEARCHES = (typed("lamp"), typed(" lamp ", 1), typed("boots", 2), typed("   ", 3))


def lake_of(folder: Path) -> Lake:
    """The marts of these."""
    made = Lake(str(folder))
    marts = {"impressions": IMPRESSIONS, "interactions": INTERACTIONS, "searches": SEARCHES}
    for name, rows in marts.items():
        frame = pl.DataFrame(rows, infer_schema_length=None)
        made.write(f"marts/{name}", frame.with_columns(arrival_date=pl.col("arrived_at").dt.date()))
    return made
