"""What a caller sends and gets: who looks at the home page, and the list to show there."""

from __future__ import annotations

from datetime import UTC, datetime
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


class Visit(BaseModel):
    """A visit to the home page that waits for its list."""

    model_config = STRICT

    request_id: Identifier = Field(description="The list: what the shop shows it under.")
    customer_id: Identifier | None = Field(None, description="The customer, if signed in.")
    k: int = Field(USUAL, ge=1, le=MOST, description=f"Length of the list, 1 to {MOST}.")
    filters: Filters | None = Field(None, description="What every product must keep to.")
    session: Annotated[tuple[Event, ...], Field(max_length=MOST_EVENTS)] | None = Field(
        None, description="What was done in this visit, the oldest first."
    )
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="ISO 3166 code of the connection."
    )
    event_at: Moment = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When it is; left out except to replay a past visit.",
    )


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


class Shown(BaseModel):
    """A product of the list."""

    product_id: str
    position: int = Field(ge=1, description="Place, from 1.")
    score: float = Field(description="What ranks it within this list; larger stands higher.")
    source: str = Field(
        description="Why it is here: `towers` (like what this customer does), `collaborative` "
        "(others took both), `content` (like what was looked at), `popular`, `new`."
    )
    propensity: float = Field(
        gt=0, le=1, description="Chance with which it was put at this place; keep it with the list."
    )
    explored: bool = Field(description="Whether it stands here to be tried out.")
    title: str | None = Field(description="Its title as indexed.")
    price: float | None = Field(description="Its price as indexed.")


class Listed(BaseModel):
    """The answer to a visit."""

    prediction_id: str = Field(description="Names this answer in the prediction log.")
    model_version: str = Field(description="Version of the model, and of its index.")
    degraded: bool = Field(description="Whether a dependency was missing and a fallback answered.")
    fallbacks: list[str] = Field(
        description="What did not answer: `store`, `retrieval`, a strategy or a tier."
    )
    items: list[Shown] = Field(description="The list, best first; may be shorter than asked for.")
    score: float = Field(ge=0, le=1, description="Probability that something of it is taken.")
    notice: str | None = Field(description="Why the list is short or empty; null otherwise.")
