"""The marketplace, simulated: deterministic by seed, vectorised, with known truth.

In the order of the work: `params`; `marketplace` (`catalogue`, `people`); `fraud` (`seasons`,
`spending`, `schemes`); `visitors`, `orders`, `arrivals`, `outcomes`; `records`, `events` and
`landing`; `simulation` puts them together.

The shop: `world` (`goods`, `tastes`, `vocabulary`, `texts`) and `truth`; `visits` (`queries`) and
`play`; `storefront` (`slots`, `title_index`) and `history`; `shopping`; `drive` (`baselines`,
`comparison`) and `traffic` (`client`).
"""

from __future__ import annotations

from agora.simulator.params import Mix, Params
from agora.simulator.simulation import Summary, simulate

__all__ = ["Mix", "Params", "Summary", "simulate"]
