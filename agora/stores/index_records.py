"""What is written of an index, and what is said of it."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agora.pipeline import PipelineError

if TYPE_CHECKING:
    from agora.pipeline import ItemPipeline


class UnusableIndexError(PipelineError):
    """An index that cannot be used: missing, torn, changed, or of another model."""


class IndexGoneError(UnusableIndexError):
    """An index that is not there: it was never made, or is no longer kept."""


class MadeOf(msgspec.Struct, frozen=True):
    """The items of an index.

    Attributes:
        content: Hash of the catalogue's rows with their features.
        features_until: Features are of before this: the end of the last closed day.
        known_at: The catalogue is known as of then: within a day, the moment of the update.
    """

    content: str
    features_until: datetime
    known_at: datetime


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an index says of itself.

    Attributes:
        system: The system.
        number: Counts up from 1.
        model_version: Model that it was built with; another model's vectors mean something else.
        items: Items in it.
        made_at: When.
        files: SHA-256 by file name.
        made_of: What its items were; None where that was not kept.
    """

    system: str
    number: int
    model_version: str
    items: int
    made_at: datetime
    files: dict[str, str]
    made_of: MadeOf | None = None


class Pointer(msgspec.Struct, frozen=True):
    """Which index serves; None: the model's own."""

    number: int | None = None


class Attached(NamedTuple):
    """A pipeline over an index.

    Attributes:
        pipeline: Its version names the index (`3+i5`), or none where it is the model's own.
        problem: Why it is not the index that is pointed at; empty if it is.
    """

    pipeline: ItemPipeline
    problem: str = ""


class Published(NamedTuple):
    """What came of a new index.

    Attributes:
        number: Its number; None when it was refused.
        items: Items in it.
        reasons: Why it was refused; empty when it serves.
    """

    number: int | None
    items: int
    reasons: tuple[str, ...] = ()
