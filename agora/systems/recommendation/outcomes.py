"""What becomes known of lists after they were shown."""

from __future__ import annotations

from agora.shopping.outcomes import outcomes

__all__ = ["outcomes"]
