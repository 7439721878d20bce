"""A verdict that the service has acknowledged can be learned from before any run takes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from agora.settings import Settings
from agora.stores.outcome_inbox import OutcomeInbox
from agora.systems.fraud.schema import Outcome
from agora.systems.fraud.verdicts import fresh_verdicts


def test_reported_verdicts_are_there_and_nothing_broken_is(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    inbox = OutcomeInbox(tmp_path / "inbox.sqlite")
    for payment, is_fraud in (("p-1", True), ("p-2", False)):
        report = Outcome(payment_id=payment, is_fraud=is_fraud, source="verdict")
        inbox.add(report.reported(payment, "ada"))
    charge = Outcome(payment_id="p-3", is_fraud=True, source="chargeback")
    inbox.add(charge.reported("p-3", "bank"))
    assert inbox.flush(settings.landing) == 3
    today = datetime.now(UTC)
    folder = Path(settings.landing) / "verdicts" / f"dt={today:%Y-%m-%d}"
    (folder / "torn.parquet").write_bytes(b"PAR1")
    (folder / "strange.jsonl").write_text('{"verdict_id": "v", "is_fraud": "perhaps"}\n')
    found = fresh_verdicts(settings, today - timedelta(days=1))
    assert found.sort("request_id").select("request_id", "label", "source").rows() == [
        ("p-1", 1.0, "verdict"),
        ("p-2", 0.0, "verdict"),
    ]
    assert fresh_verdicts(settings, today + timedelta(days=2)).is_empty()
