"""What a caller sends and gets: what is looked for, and the list that answers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agora.moments import Moment
from agora.stores.outcome_inbox import OutcomeReport, Reported

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
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
    session: Annotated[tuple[Event, ...], Field(max_length=MOST_EVENTS)] | None = Field(
        None, description="What was done in this visit, the oldest first."
    )
    event_at: Moment = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When it is; left out except to replay a past search.",
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
