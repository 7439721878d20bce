"""What callers say of a visit: filters, what has just been done, what came of a list."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agora.moments import Moment
from agora.stores.outcome_inbox import OutcomeReport, Reported

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# Strict: "12.5" as text is a bug of the caller's, not a price.
Price = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1e9)]
Kind = Literal["click", "cart", "purchase"]
STRICT = ConfigDict(extra="forbid", frozen=True)
MOST, USUAL, MOST_EVENTS = 50, 10, 50
"""Length of a list, and how much of a visit is read."""


class Filters(BaseModel):
    """What every product of the list must keep to."""

    model_config = STRICT

    category: Identifier | None = Field(None, description="Only products of this category.")
    merchant_id: Identifier | None = Field(None, description="Only products of this seller.")
    price_min: Price | None = Field(None, description="Lowest price, included.")
    price_max: Price | None = Field(None, description="Highest price, included.")
    in_stock: bool | None = Field(
        None, description="False also shows what is sold out; left out, only what can be bought."
    )


class Event(BaseModel):
    """Something that the visitor has just done."""

    model_config = STRICT

    product_id: Identifier = Field(description="The product.")
    kind: Kind = Field("click", description="What was done with it.")
    at: Moment | None = Field(None, description="When; left out, just now.")


Session = Annotated[tuple[Event, ...], Field(max_length=MOST_EVENTS)]
"""What was done in a visit, the oldest first."""


class Outcome(OutcomeReport):
    """What came of a list: a click on a product of it, a cart, a purchase."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("prediction_id", "list_id")
            ],
        }
    )

    list_id: Identifier | None = Field(None, description="The list: its `request_id`.")
    product_id: Identifier = Field(description="The product.")
    kind: Kind = Field(description="What was done with it.")
    customer_id: Identifier | None = Field(None, description="The customer, if signed in.")
    session_id: Identifier | None = Field(None, description="Visit; the list when left out.")
    at: Moment | None = Field(None, description="When it was done; now when left out.")

    @property
    def request_id(self) -> str | None:
        """The list."""
        return self.list_id

    def lacks(self) -> str:
        """One of the two ids is needed."""
        return "" if self.list_id or self.prediction_id else "list_id"

    def reported(self, request_id: str, caller: str) -> Reported:
        """A row of `interactions`."""
        row: dict[str, object] = {
            "list_id": request_id,
            "session_id": self.session_id or request_id,
            "customer_id": self.customer_id,
            "product_id": self.product_id,
            "kind": self.kind,
            "event_at": self.at.isoformat() if self.at else None,
        }
        identity = (request_id, self.product_id, self.kind)
        return Reported("interactions", "interaction_id", identity, row)
