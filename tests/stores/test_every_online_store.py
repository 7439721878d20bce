"""What every online store does: the newest row wins, whoever writes it and in whatever order."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agora.stores.online import MISSING_TIME, RequestRows, absent_rows
from tests.stores.online_rows import COUNT, NOW, connect, new_set, read_rows, write_rows

if TYPE_CHECKING:
    from agora.features import FeatureSet
    from agora.stores.online import OnlineStore

# Two servers that start at once may choose one port.
pytestmark = pytest.mark.xdist_group("valkey")


def test_what_was_written_is_read(store: OnlineStore) -> None:
    cards = new_set()
    assert write_rows(store, cards, ["a", "b"], [1, 2]) == 2
    rows = store.read([(cards, ["b", "a"])])[0]
    assert rows.values.tolist() == [[2, 2, 0], [1, 1, 0]]
    assert rows.feature_at.tolist() == [NOW + 2, NOW + 1]
    assert (rows.values.dtype, rows.feature_at.dtype) == (np.float64, np.int64)


def test_unknown_and_absent_ids_get_the_defaults(store: OnlineStore) -> None:
    cards = new_set()
    write_rows(store, cards, ["a"], [1])
    for ids in (["unknown"], [None], ["a", "unknown", None], [""]):
        rows = store.read([(cards, ids)])[0]
        known = np.array([entity_id == "a" for entity_id in ids])
        assert rows.values[~known].tolist() == [[0, -1, -2]] * int((~known).sum())
        assert (rows.feature_at[~known] == MISSING_TIME).all()
        assert rows.feature_at[known].tolist() == [NOW + 1] * int(known.sum())


def test_a_request_reads_what_a_read_of_one_id_by_set_gives(store: OnlineStore) -> None:
    cards, shops, wide = new_set(), new_set(), new_set(5)
    sets = (cards, shops, wide)
    write_rows(store, cards, ["a"], [3], [9])
    write_rows(store, wide, ["d"], [-5])
    for ids in (["a", "b", "d"], ["a", None, "?"], [None, "", "d"], ["d", "a", "a"]):
        expected = store.read([(each, [one]) for each, one in zip(sets, ids, strict=True)])
        for _ in range(2):
            found = store.read_request(sets, ids)
            assert found.values == np.concatenate([row.values[0] for row in expected]).tobytes()
            assert list(found.feature_at) == [row.feature_at[0] for row in expected]
            assert list(found.arrived_at) == [row.arrived_at[0] for row in expected]
    assert store.read_request((cards,), ["a"]).feature_at == [NOW + 3]
    assert store.read_request((), []) == RequestRows(b"", [], [])
    assert absent_rows(sets) == store.read_request(sets, [None, None, None])


def test_values_are_kept_beside_the_rows_for_their_time_and_read_with_them(
    store: OnlineStore,
) -> None:
    cards, key = new_set(), f"agora:answers:test-{next(COUNT)}"
    write_rows(store, cards, ["a"], [1])
    store.keep({}, 10.0)
    store.keep({key: b"one", f"{key}-short": b"two"}, 10.0)
    found = store.read_request((cards,), ["a"], key)
    assert (found.kept, found.feature_at) == (b"one", [NOW + 1])
    assert store.read_request((), [], key).kept == b"one"
    assert store.read_request((cards,), ["a"], f"{key}-unknown").kept is None
    store.keep({key: b"three"}, 0.05)
    sleep(0.1)
    assert store.read_request((cards,), ["a"], key).kept is None


def test_the_newest_row_wins_in_any_order(store: OnlineStore) -> None:
    cards, rng = new_set(), np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(50)
        write_rows(store, cards, ["a"] * 50, order)
        assert read_rows(store, cards, ["a"]) == [[49, 49, 0]]


def test_of_equal_times_the_later_arrival_wins(store: OnlineStore) -> None:
    cards = new_set()
    assert write_rows(store, cards, ["a", "a", "a"], [5, 5, 5], [7, 9, 8]) == 2
    assert read_rows(store, cards, ["a"]) == [[5, 9, 0]]
    assert write_rows(store, cards, ["a"], [5], [9]) == 0
    assert write_rows(store, cards, ["a"], [4], [20]) == 0
    assert write_rows(store, cards, ["a"], [6], [1]) == 1


def test_times_are_compared_to_the_microsecond_and_before_1970(store: OnlineStore) -> None:
    cards, value = new_set(1), np.zeros((1, 1))
    # Beyond 2^53 a double cannot tell neighbours apart.
    times = [-(2**62), -1, 0, 1, 2**53, 2**53 + 1, 2**62, 2**62 + 1]
    for time in times:
        at = np.array([time])
        assert store.write(cards, ["a"], at, at, value) == 1
        assert store.write(cards, ["a"], at, at, value) == 0
        assert store.read([(cards, ["a"])])[0].feature_at.tolist() == [time]
    for time in times[:-1]:
        at = np.array([time])
        assert store.write(cards, ["a"], at, at, value) == 0


def test_concurrent_threads_leave_the_newest_row(store: OnlineStore) -> None:
    cards, ids = new_set(), [f"c{i}" for i in range(50)]

    def write(seed: int) -> None:
        for at in np.random.default_rng(seed).permutation(40):
            write_rows(store, cards, ids, np.full(50, at * 10 + seed))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert read_rows(store, cards, [*ids]) == [[393, 393, 0]] * 50


def _write_shuffled(url: str, cards: FeatureSet, seed: int) -> None:
    store = connect(url)
    for at in np.random.default_rng(seed).permutation(40):
        write_rows(store, cards, [f"c{i}" for i in range(50)], np.full(50, at * 10 + seed))
    store.close()


def test_concurrent_processes_leave_the_newest_row(urls: dict[str, str]) -> None:
    # One server is like the other here, and starting processes is slow.
    url = urls["embedded"]
    cards, context = new_set(), multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_shuffled, args=(url, cards, i)) for i in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store = connect(url)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert read_rows(store, cards, [f"c{i}" for i in range(50)]) == [[391, 391, 0]] * 50
    store.close()


def test_every_number_comes_back_bit_for_bit(store: OnlineStore) -> None:
    cards = new_set(6)
    payload = np.array([0x7FF8_0000_DEAD_BEEF], dtype=np.uint64).view(np.float64)[0]
    values = np.array([[np.nan, payload, -0.0, np.inf, -np.inf, 5e-324]])
    store.write(cards, ["a"], np.array([1]), np.array([1]), values)
    for ids in (["a"], ["a", "b"]):
        found = store.read([(cards, ids)])[0].values[:1]
        assert found.view(np.uint64).tolist() == values.view(np.uint64).tolist()


def test_a_wide_set_and_many_rows_fit(store: OnlineStore) -> None:
    cards, rows = new_set(300), 10_000
    ids = [f"c{i}" for i in range(rows)]
    assert write_rows(store, cards, ids, np.arange(rows)) == rows
    found = store.read([(cards, ids[::-1])])[0]
    assert found.values.shape == (rows, 300)
    assert found.feature_at.tolist() == (NOW + np.arange(rows)[::-1]).tolist()


def test_several_sets_are_read_at_once_each_with_its_ids(store: OnlineStore) -> None:
    cards, shops = new_set(), new_set(2)
    write_rows(store, cards, ["a", "b"], [1, 2])
    write_rows(store, shops, ["a"], [3])
    one, two, three = store.read([(cards, ["b", None]), (shops, ["a"]), (cards, [])])
    assert one.values.tolist() == [[2, 2, 0], [0, -1, -2]]
    assert two.values.tolist() == [[3, 3]]
    assert three.values.shape == (0, 3)


def test_a_new_version_of_a_set_starts_empty(store: OnlineStore) -> None:
    cards = new_set()
    write_rows(store, cards, ["a"], [5])
    second = replace(cards, version=2, features=cards.features[:2])
    assert read_rows(store, second, ["a"]) == [[0, -1]]
    write_rows(store, second, ["a"], [1])
    assert read_rows(store, second, ["a"]) == [[1, 1]]
    assert read_rows(store, cards, ["a"]) == [[5, 5, 0]]


def test_ids_of_any_characters_are_kept_apart(store: OnlineStore) -> None:
    cards, ids = new_set(), ["a", "a ", "a:b", "ü", "a\nb", "a\x00b", "*", "x" * 500]
    write_rows(store, cards, ids, np.arange(len(ids)))
    assert [row[0] for row in read_rows(store, cards, [*ids])] == list(range(len(ids)))


def test_nothing_asked_and_nothing_written_is_fine(store: OnlineStore) -> None:
    cards = new_set()
    assert store.read([]) == []
    assert store.read([(cards, [])])[0].values.shape == (0, 3)
    assert write_rows(store, cards, [], []) == 0
    assert store.ping()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((2, 2))}, "values must be float64 of shape"),
        ({"values": np.zeros(3)}, "values must be float64 of shape"),
        ({"values": np.zeros((2, 3), dtype=np.float32)}, "values must be float64 of shape"),
        ({"feature_at": np.zeros(1, dtype=np.int64)}, "feature_at must be int64 of shape"),
        ({"arrived_at": np.zeros(2)}, "arrived_at must be int64 of shape"),
        ({"feature_at": np.array([1, MISSING_TIME])}, "feature_at has a missing time"),
        ({"ids": ["a", None]}, "ids must be strings"),
        ({"ids": ["a", ""]}, "ids must be strings"),
        ({"ids": ["a"]}, "values must be float64 of shape"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(
    store: OnlineStore, change: dict[str, Any], message: str
) -> None:
    cards, times = new_set(), np.array([1, 2])
    rows = {"ids": ["a", "b"], "feature_at": times, "arrived_at": times, "values": np.zeros((2, 3))}
    with pytest.raises(ValueError, match=f"{cards.id}: {message}"):
        store.write(cards, **(rows | change))
    assert store.read([(cards, ["a"])])[0].feature_at.tolist() == [MISSING_TIME]
