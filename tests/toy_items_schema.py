"""What callers of the small system of items send and get."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agora.moments import Moment

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
OPTIONS = ConfigDict(extra="forbid", frozen=True)


class Event(BaseModel):
    """What the customer has just done."""

    model_config = OPTIONS

    product_id: Id = Field(description="The product.")
    kind: Literal["click", "cart", "purchase"] = "click"


class Filters(BaseModel):
    """What the list must keep to."""

    model_config = OPTIONS

    category: Id | None = Field(None, description="Only of this category.")
    price_min: float | None = Field(None, ge=0, le=1e9, description="Lowest price.")


class Wish(BaseModel):
    """A list that is asked for."""

    model_config = OPTIONS

    request_id: Id = Field(description="The request.")
    customer_id: Id | None = Field(None, description="The customer, if known.")
    k: int = Field(5, ge=1, le=50, description="Length of the list.")
    filters: Filters | None = Field(None, description="What the list must keep to.")
    session: Annotated[tuple[Event, ...], Field(max_length=20)] = Field(
        (), description="What the customer has just done, the oldest first."
    )
    event_at: Moment = Field(default_factory=lambda: datetime.now(UTC), description="When.")


class Shown(BaseModel):
    """One item of a list."""

    product_id: str
    position: int = Field(ge=1)
    score: float
    source: str
    propensity: float = Field(gt=0, le=1)


class Listed(BaseModel):
    """The answer."""

    prediction_id: str
    model_version: str
    degraded: bool
    fallbacks: list[str]
    items: list[Shown]
    score: float


class Prefix(BaseModel):
    """Parameters of `/suggest`."""

    model_config = OPTIONS

    prefix: Annotated[str, StringConstraints(max_length=50)] = Field(description="What is typed.")
    limit: int = Field(3, ge=1, le=10, description="How many.")


class Suggested(BaseModel):
    """Categories that begin so."""

    categories: list[str]
