from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from agora.shopping.requests import MOST_EVENTS, Filters, Outcome, Session


def test_a_report_becomes_an_interaction_and_needs_a_list() -> None:
    told = {"product_id": "p1", "kind": "cart"}
    report = Outcome.model_validate({**told, "list_id": "l1"})
    row = report.reported("l1", "shop").row
    assert (row["list_id"], row["session_id"], row["kind"]) == ("l1", "l1", "cart")
    assert Outcome.model_validate(told).lacks() == "list_id"


def test_a_price_that_is_text_is_refused() -> None:
    assert Filters.model_validate({"price_max": 12.5}).price_max == 12.5
    with pytest.raises(ValidationError, match="price_max"):
        Filters.model_validate({"price_max": "12.5"})


def test_a_session_has_an_end() -> None:
    sessions = TypeAdapter(Session)
    events = [{"product_id": "p1"}] * MOST_EVENTS
    assert sessions.validate_python(events)[0].kind == "click"
    with pytest.raises(ValidationError, match=f"at most {MOST_EVENTS}"):
        sessions.validate_python([*events, events[0]])
