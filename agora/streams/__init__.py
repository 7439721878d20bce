"""Fresh features: payments from the event log become feature rows within seconds.

`models` is the batch's SQL, compiled; `history` and `memory` are what it reads; `intake` makes rows
of events; `features` computes; `sink` and `tables` are the lake's side; `runner` turns the wheel;
`landing` gives the batch its files; `producer` sends.
"""

from __future__ import annotations

from agora.streams.landing import land
from agora.streams.producer import payment_event, produce
from agora.streams.running import run
from agora.streams.sink import OvertakenError

__all__ = ["OvertakenError", "land", "payment_event", "produce", "run"]
