"""Alerts: what somebody should look at, each with the page that says what to do.

`rules` looks at the lake, the service and the log and says what is wrong; `delivery` tells it once,
and once more when it is over.
"""

from __future__ import annotations

from agora.alerts.delivery import deliver
from agora.alerts.rules import NAMES, Alert, Situation, firing

__all__ = ["NAMES", "Alert", "Situation", "deliver", "firing"]
