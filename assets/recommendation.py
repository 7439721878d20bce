"""Recommendation's assets: the life of its model and index, from lists and what came of them."""

from agora.systems.recommendation import SYSTEM
from assets.lifecycle import lifecycle

assets = lifecycle(SYSTEM, reads=["marts/impressions", "marts/interactions", "marts/products"])
