"""What a caller sends and gets: who looks at the home page, and the list to show there."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from agora.moments import Moment
from agora.shopping.requests import (
    MOST,
    STRICT,
    USUAL,
    Filters,
    Identifier,
    Outcome,
    Session,
)

__all__ = ["Listed", "Outcome", "Visit"]


class Visit(BaseModel):
    """A visit to the home page that waits for its list."""

    model_config = STRICT

    request_id: Identifier = Field(description="The list: what the shop shows it under.")
    customer_id: Identifier | None = Field(None, description="The customer, if signed in.")
    k: int = Field(USUAL, ge=1, le=MOST, description=f"Length of the list, 1 to {MOST}.")
    filters: Filters | None = Field(None, description="What every product must keep to.")
    session: Session | None = Field(
        None, description="What was done in this visit, the oldest first."
    )
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="ISO 3166 code of the connection."
    )
    event_at: Moment = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When it is; left out except to replay a past visit.",
    )


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
