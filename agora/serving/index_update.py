"""An index brought up to date: every night, with each new model, and within the day.

Features are those of the last closed day, as at night; the catalogue is what is known now. Where
neither has changed since the index that serves, nothing is made.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from agora.dataset import known_until
from agora.items import catalogue_of
from agora.manifest import content_hash
from agora.pipeline import PipelineError, is_of_items
from agora.serving.index_gate import index_gate
from agora.stores.indexes import MadeOf, attach, indexed, manifest_of, publish_index

if TYPE_CHECKING:
    from agora.pipeline import ItemPipeline
    from agora.settings import Settings
    from agora.stores.indexes import Attached
    from agora.stores.lake import Lake
    from agora.stores.models import ModelRegistry
    from agora.system import System


class Updated(NamedTuple):
    """What came of an update.

    Attributes:
        number: The index that serves then; None when the new one was refused.
        items: Items in what was read.
        made_of: What that was.
        is_new: Whether an index was made.
        reasons: Why it was refused.
    """

    number: int | None
    items: int
    made_of: MadeOf
    is_new: bool
    reasons: tuple[str, ...] = ()


def update_index(
    system: System,
    lake: Lake,
    models: ModelRegistry,
    settings: Settings,
    *,
    anew: bool = False,
    now: datetime | None = None,
) -> Updated:
    """Make the champion's index of what is known now, and let it serve once it passed its gate.

    Args:
        system: A system of items.
        lake: Where catalogue and features are.
        models: Where the champion is.
        settings: The instance.
        anew: Compute every item's part again, instead of going on from the index that serves.
        now: The catalogue is known as of then; this moment by default.

    Raises:
        LookupError: There is no champion, or a table has not been built.
        PipelineError: The champion cannot be read, or is not one of items.
    """
    champion = models.load(system)
    if not is_of_items(champion):
        raise PipelineError(f"{system.name} does not choose from items")
    until = known_until(lake, system)
    # A simulated marketplace may be ahead of this clock.
    known_at = max(until, now or datetime.now(UTC))
    rows = catalogue_of(system, lake, until, known_at)
    made_of = MadeOf(content_hash(rows), until, known_at)
    served = attach(champion, settings.indexes, system.name)
    number = None if anew else _same(served, made_of, system, settings)
    if number is not None:
        return Updated(number, rows.height, made_of, is_new=False)
    # From the index that serves: what has not changed need not be computed again.
    new: ItemPipeline = (champion if anew else served.pipeline).with_items(rows)
    made = publish_index(system, new, settings, index_gate(system), made_of=made_of)
    return Updated(made.number, made.items, made_of, is_new=not made.reasons, reasons=made.reasons)


def _same(served: Attached, made_of: MadeOf, system: System, settings: Settings) -> int | None:
    """Number of the index that serves, if it was made of the same and serves as it should."""
    number = indexed(served.pipeline.version)[1]
    if served.problem or number is None:
        return None
    before = manifest_of(settings.indexes, system.name, number).made_of
    return number if before is not None and before.content == made_of.content else None
