"""A small search model and the real service around it."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agora.settings import Settings
from agora.settings import settings as here
from agora.systems.search import SYSTEM
from tests.bentos.item_services import ItemService, serving_items
from tests.systems.search.shop import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Service(ItemService):
    """A running service."""

    def search(self, query: str, *, once: bool = False, **fields: Any) -> tuple[int, Any]:
        """The answer to a query."""
        asked = {"request_id": "search", "query": query, **fields}
        return self.chosen("/search", asked, once=once)


def with_encoders(home: Path) -> None:
    """The encoder, as an instance that has trained before has it."""
    (home / "encoders").symlink_to(here().home / "encoders")


@contextmanager
def serving(home: Path, encoder: str = "") -> Iterator[Service]:
    """The service of the working tree with the shop's pipeline, until the end of the block.

    Args:
        home: Folder of its instance.
        encoder: Another encoder than the shop's, for the service alone.
    """
    with_encoders(home)
    pipeline = copy(fitted())
    if encoder:
        # Its index has vectors, but what is asked cannot be encoded.
        pipeline.params = replace(pipeline.params, encoder=encoder)
    with serving_items(Service, SYSTEM, pipeline, Settings(home=home)) as service:
        yield service
