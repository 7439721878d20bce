"""A small recommendation model and the real service around it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agora.settings import Settings
from agora.systems.recommendation import SYSTEM
from tests.bentos.item_services import ItemService, serving_items
from tests.systems.recommendation.shop import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Service(ItemService):
    """A running service."""

    def recommend(self, *, once: bool = False, **fields: Any) -> tuple[int, Any]:
        """A list for a visit."""
        return self.chosen("/recommend", {"request_id": "visit", **fields}, once=once)


@contextmanager
def serving(home: Path) -> Iterator[Service]:
    """The service of the working tree with the shop's pipeline, until the end of the block."""
    with serving_items(Service, SYSTEM, fitted(), Settings(home=home)) as service:
        yield service
