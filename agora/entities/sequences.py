"""Features that are an entity's latest events one by one, for models that read sequences."""

from __future__ import annotations

import hashlib

from agora.features import Feature

MERCHANT_BUCKETS = 1_024
CHANNELS = ("web", "app", "in_store")
KINDS = ("click", "cart", "purchase")


def latest_payments(length: int) -> tuple[Feature, ...]:
    """The fields of each of the latest payments, the newest payment first.

    Args:
        length: How many payments.
    """
    last = MERCHANT_BUCKETS - 1
    channels = _numbered(CHANNELS)
    return tuple(
        feature
        for place in range(1, length + 1)
        for feature in (
            Feature(f"amount_{place}", f"Amount of payment {place}, the newest being 1."),
            Feature(f"event_at_{place}", f"When payment {place} was made, in epoch seconds."),
            Feature(f"merchant_{place}", f"Merchant of payment {place}: its bucket, 0 to {last}."),
            Feature(f"channel_{place}", f"Where payment {place} was made: {channels}."),
            Feature(f"latitude_{place}", f"Degrees north of payment {place}."),
            Feature(f"longitude_{place}", f"Degrees east of payment {place}."),
        )
    )


def latest_interactions(length: int) -> tuple[Feature, ...]:
    """What was clicked, put into the cart or bought last, the newest interaction first.

    Args:
        length: How many interactions.
    """
    return tuple(
        feature
        for place in range(1, length + 1)
        for feature in (
            Feature(f"product_{place}", f"Product of interaction {place}, the newest being 1: the "
                    "first 13 hex digits of the MD5 of its id, as a number."),
            Feature(f"kind_{place}", f"What interaction {place} was: {_numbered(KINDS)}."),
            Feature(f"event_at_{place}", f"When interaction {place} was, in epoch seconds."),
        )
    )  # fmt: skip


def _numbered(names: tuple[str, ...]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(names))


def merchant_bucket(merchant_id: str) -> int:
    """The number that stands for a merchant in a sequence, as the SQL computes it.

    Three hex digits of MD5 are the same in every language and release, unlike a database's hash.
    """
    digest = hashlib.md5(merchant_id.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:3], 16) % MERCHANT_BUCKETS
