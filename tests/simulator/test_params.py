from __future__ import annotations

from datetime import date

import pytest

from agora.simulator import Mix, Params


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fraud_share", 0.0009),
        ("fraud_share", 0.02),
        ("fraud_share", float("nan")),
        ("fraud_share", "half"),
        ("days", 0),
        ("days", 2.5),
        ("seed", -1),
        ("customers", 3),
        ("merchants", True),
        ("payments_per_day", 0),
        ("late_share", -0.1),
        ("sessions_per_day", -1),
        ("launches_per_day", -0.5),
        ("taste_drift", "fast"),
        ("verdict_accuracy", 0.2),
        ("start", "2026-01-05"),
        ("drift_at", date(2020, 1, 1)),
        ("drift_at", "2026-02-01"),
        ("mix", 0.5),
        ("currency", "euro"),
    ],
)
def test_a_wrong_parameter_is_named(field: str, value: object):
    with pytest.raises(ValueError, match=rf"^{field}: "):
        Params(**{field: value})


def test_a_wrong_mix_is_named():
    with pytest.raises(ValueError, match=r"^mix\.card_testing: "):
        Mix(card_testing=1.5)
    with pytest.raises(ValueError, match=r"^mix: "):
        Mix(0, 0, 0, 0, 0)
