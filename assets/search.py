"""Search's assets: the life of its model, from what was typed, shown and taken."""

from agora.systems.search import SYSTEM
from assets.lifecycle import lifecycle

assets = lifecycle(
    SYSTEM, reads=["marts/searches", "marts/impressions", "marts/interactions", "marts/products"]
)
