from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from assets.tick import tick

if TYPE_CHECKING:
    from tests.assets.marketplace import Marketplace

pytestmark = pytest.mark.xdist_group("dagster")


def test_a_sensor_that_is_not_there_is_named(marketplace: Marketplace) -> None:
    assert tick(marketplace.settings, "nobody") == ["there is no sensor 'nobody'"]


def test_a_sensor_without_a_reason_starts_nothing_and_says_so(marketplace: Marketplace) -> None:
    out = io.StringIO()
    assert tick(marketplace.settings, "fraud_retrain", out) == []
    assert "fraud_retrain: nothing calls for a training" in out.getvalue()
