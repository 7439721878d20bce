from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agora.settings import child_environment
from assets.run import materialize_range
from tests.assets.marketplace import LAST, START

if TYPE_CHECKING:
    from tests.assets.marketplace import Marketplace

pytestmark = pytest.mark.xdist_group("dagster")
ROOT = Path(__file__).parents[2]
END = LAST + timedelta(days=1)


def test_each_step_prints_that_it_began_and_what_it_made(marketplace: Marketplace) -> None:
    out = io.StringIO()
    failed = materialize_range(marketplace.settings, LAST, END, 'key:"raw/cards"', out)
    assert failed == []
    began, ended = out.getvalue().splitlines()
    assert began == "    raw__cards: started"
    assert ended.startswith("    raw__cards: finished in ")
    assert ended.endswith(" rows")


def test_a_failure_says_which_step_and_why(empty_marketplace: Marketplace) -> None:
    out = io.StringIO()
    failed = materialize_range(
        empty_marketplace.settings, LAST, END, 'key:"fraud/training_set"', out
    )
    assert failed[0].startswith("fraud__training_set: ")
    assert "has not been built" in failed[0]
    assert "FAILED" in out.getvalue()


@pytest.mark.parametrize("select", ['key:"no/such"', "* - nonsense"])
def test_a_selection_that_names_nothing_is_refused(marketplace: Marketplace, select: str) -> None:
    (reason,) = materialize_range(marketplace.settings, START, END, select, io.StringIO())
    assert "--select" in reason


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_whole_days(marketplace: Marketplace) -> None:
    tables = ("raw/payments", "marts/payments", "features/ftr_cards__daily")
    before = {table: marketplace.lake.read(table) for table in tables}
    command = [sys.executable, "-m", "assets.run", "--start", str(START), "--end", str(END)]
    for moment in (0.5, 2.0, 5.0):
        with subprocess.Popen(
            [*command, "--select", 'not group:"fraud"'],
            cwd=ROOT, env=child_environment(marketplace.settings), stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        ) as child:  # fmt: skip
            for line in child.stdout:
                if "raw__payments: started" in line:
                    break
            time.sleep(moment)
            os.killpg(child.pid, signal.SIGKILL)
        for table, frame in before.items():
            now = marketplace.lake.read(table)
            assert now.sort(now.columns).equals(frame.sort(frame.columns)), (table, moment)
