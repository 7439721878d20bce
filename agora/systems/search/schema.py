"""What a caller sends and gets: what is looked for, and the list that answers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

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

__all__ = ["Found", "Outcome", "Prefix", "Search", "Suggested"]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Search(BaseModel):
    """A search that waits for its list."""

    model_config = STRICT

    request_id: Identifier = Field(description="The search: what the shop shows its list under.")
    query: Text = Field(
        description="What was typed, 1 to 500 characters beside spaces at both ends."
    )
    customer_id: Identifier | None = Field(None, description="The customer, if signed in.")
    k: int = Field(USUAL, ge=1, le=MOST, description=f"Length of the list, 1 to {MOST}.")
    filters: Filters | None = Field(None, description="What every product must keep to.")
    facets: bool = Field(default=False, description="Whether to count what was found.")
    session: Session | None = Field(
        None, description="What was done in this visit, the oldest first."
    )
    event_at: Moment = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When it is; left out except to replay a past search.",
    )


class Shown(BaseModel):
    """A product of the list."""

    product_id: str
    position: int = Field(ge=1, description="Place, from 1.")
    score: float = Field(description="What ranks it within this list; larger stands higher.")
    title: str = Field(description="Its title as indexed.")
    highlight: str = Field(description="HTML: where its text has the words, in `<em>`.")
    price: float | None = Field(description="Its price as indexed.")
    propensity: float | None = Field(
        description="Chance with which it was put at this place; null where that is not known."
    )
    source: str = Field(
        description="How it was found: `lexical` (its words), `semantic` (its meaning), `both`, or "
        "`popular` (by its title alone, when the search did not answer)."
    )


class Count(BaseModel):
    """How many of the found products have a value."""

    value: str
    count: int


class Band(BaseModel):
    """How many of the found products cost so much: from `price_min`, below `price_max`."""

    price_min: float
    price_max: float | None
    count: int


class Facets(BaseModel):
    """What was found, counted."""

    category: list[Count] = Field(description="By category, the most frequent first.")
    merchant_id: list[Count] = Field(description="By seller, the most frequent first.")
    price: list[Band] = Field(description="By price.")


class Found(BaseModel):
    """The answer to a search."""

    prediction_id: str = Field(description="Names this answer in the prediction log.")
    model_version: str = Field(description="Version of the model, and of its index.")
    degraded: bool = Field(description="Whether a dependency was missing and a fallback answered.")
    fallbacks: list[str] = Field(
        description="What did not answer: `store`, `retrieval`, `lexical`, `semantic` or a tier."
    )
    items: list[Shown] = Field(description="The list, best first; may be shorter than asked for.")
    score: float = Field(ge=0, le=1, description="Probability that something of it is taken.")
    query_used: str = Field(description="What was looked for: the query, its spelling corrected.")
    corrected: bool = Field(description="Whether a word was taken for another.")
    category: str | None = Field(description="Category that seems to be meant; null if unsure.")
    total: int = Field(ge=0, description="Products that were found, of which `items` are the best.")
    facets: Facets | None = Field(description="Counts of what was found; null if not asked for.")
    notice: str | None = Field(description="Why the list is short or empty; null otherwise.")


class Prefix(BaseModel):
    """What has been typed so far."""

    model_config = STRICT

    prefix: Annotated[str, StringConstraints(max_length=100)] = Field(
        description="What has been typed so far, at most 100 characters."
    )
    k: int = Field(5, ge=1, le=20, description="Most suggestions, 1 to 20.")


class Suggestion(BaseModel):
    """A query that goes on as it was begun."""

    query: str
    products: int = Field(ge=0, description="Products that have its last word.")


class Suggested(BaseModel):
    """What may be meant."""

    suggestions: list[Suggestion]
