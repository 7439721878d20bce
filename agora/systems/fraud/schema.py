"""What a caller sends and gets: a payment, and the decision on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agora.moments import Moment
from agora.stores.outcome_inbox import OutcomeReport, Reported

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# Strict: "12.5" as text is a bug of the caller's, not an amount.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Payment(BaseModel):
    """A payment that waits for a decision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_id: Identifier = Field(description="The payment.")
    customer_id: Identifier = Field(description="Customer who pays.")
    card_id: Identifier = Field(description="Card that is charged: a token, never its number.")
    merchant_id: Identifier = Field(description="Merchant who is paid.")
    device_id: Identifier | None = Field(None, description="Device that it is made on.")
    amount: Number = Field(ge=0, le=1e7, description="Amount, in the currency.")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")
    channel: Literal["web", "app", "in_store"] = Field(description="Where it is made.")
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="ISO 3166 code of the connection or terminal."
    )
    latitude: Number | None = Field(None, ge=-90, le=90, description="Degrees north.")
    longitude: Number | None = Field(None, ge=-180, le=180, description="Degrees east.")
    event_at: Moment = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When it is made; left out except to replay a past payment.",
    )


class Outcome(OutcomeReport):
    """What became of a payment: an analyst's verdict, or a chargeback."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("prediction_id", "payment_id")
            ],
        }
    )

    payment_id: Identifier | None = Field(None, description="Payment that it speaks of.")
    is_fraud: bool = Field(strict=True, description="Whether the payment was a fraud.")
    source: Literal["verdict", "chargeback"] = Field(description="Who says so.")
    decided_by: Identifier | None = Field(
        None, description="Analyst who decided; the key's name when left out."
    )
    amount: Number = Field(0.0, ge=0, le=1e7, description="Amount charged back.")
    event_at: Moment | None = Field(None, description="When it was decided; now when left out.")

    @property
    def request_id(self) -> str | None:
        """The payment."""
        return self.payment_id

    def lacks(self) -> str:
        """One of the two ids is needed."""
        return "" if self.payment_id or self.prediction_id else "payment_id"

    def reported(self, request_id: str, caller: str) -> Reported:
        """A row of `verdicts` or `chargebacks`."""
        at = self.event_at.isoformat() if self.event_at else None
        row: dict[str, object] = {"payment_id": request_id, "event_at": at}
        if self.source == "chargeback":
            row |= {"reason": "fraud" if self.is_fraud else "dispute", "amount": self.amount}
            return Reported("chargebacks", "chargeback_id", (request_id,), row)
        analyst = self.decided_by or caller
        row |= {"analyst_id": analyst, "is_fraud": self.is_fraud}
        return Reported("verdicts", "verdict_id", (request_id, analyst), row)


class Reason(BaseModel):
    """Why a payment was not simply approved."""

    code: str = Field(description="Stable name of a rule or a feature.")
    text: str = Field(description="The same in words.")
    contribution: float = Field(description="How far it moved the risk, in log-odds.")


class Decision(BaseModel):
    """The answer to a payment."""

    prediction_id: str = Field(description="Names this answer in the prediction log.")
    model_version: str = Field(description="Version of the model that answered.")
    degraded: bool = Field(description="Whether a dependency was missing and a fallback answered.")
    fallbacks: list[str] = Field(description="What did not answer: `store`, or a tier's name.")
    decision: Literal["approve", "review", "decline"]
    score: float = Field(ge=0, le=1, description="Probability that the payment is a fraud.")
    tier: Literal["rules", "light", "deep"] = Field(description="What gave the score.")
    rules: list[str] = Field(
        description="Rules that hold, as code@version; those on trial end in `shadow`."
    )
    reasons: list[Reason] = Field(
        description="Strongest first, then the base rate and the rest: their sum is the score's "
        "log-odds. Empty when approved."
    )
