"""API keys: only hashes are kept; what changes is seen by whoever reads."""

from __future__ import annotations

import multiprocessing
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agora.stores import keys
from agora.stores.keys import KeyRing, KeyStore, KeyStoreError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keys.json"


HOUR = timedelta(hours=1)


def fault(ring: KeyRing, token: str, later: timedelta = timedelta(0)) -> str | None:
    key = ring.find(token.encode())
    return None if key is None else key.fault(datetime.now(UTC) + later)


def test_a_key_is_found_by_its_token_and_no_other(path: Path) -> None:
    token = KeyStore(path).create("shop", "score")
    ring = KeyRing(path)
    found = ring.find(token.encode())
    assert found is not None
    assert (found.name, found.role, fault(ring, token)) == ("shop", "score", "")
    for wrong in ("", token[:-1], token + "x", token.upper(), "agora_"):
        assert ring.find(wrong.encode()) is None


def test_the_file_holds_no_token_and_is_for_its_owner_only(path: Path) -> None:
    store = KeyStore(path)
    tokens = [store.create("shop", "score"), store.rotate("shop")]
    text = path.read_text()
    assert not any(token in text or token.removeprefix("agora_") in text for token in tokens)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Clock:
    """Stands still between two looks, however slow the machine is."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(keys, "time", made)
    return made


def test_what_changes_is_seen_within_a_second(path: Path, clock: Clock) -> None:
    ring, store = KeyRing(path), KeyStore(path)
    assert ring.find(b"agora_x") is None
    token = store.create("shop", "score")
    clock.seconds += 0.99
    assert fault(ring, token) == ""
    store.revoke("shop")
    assert fault(ring, token) == "", "the file is not read for each request"
    clock.seconds += 0.99
    assert fault(ring, token) == "revoked"
    path.unlink()
    clock.seconds += 0.99
    assert fault(ring, token) is None


def test_a_key_ends_at_its_time(path: Path) -> None:
    token = KeyStore(path).create("shop", "score", lifetime=2 * HOUR)
    ring = KeyRing(path)
    assert fault(ring, token, HOUR) == ""
    assert fault(ring, token, 2 * HOUR) == "expired"


def test_a_rotated_key_has_two_tokens_until_the_grace_ends(path: Path) -> None:
    store = KeyStore(path)
    first = store.create("shop", "score", lifetime=timedelta(days=10), rate=7)
    second = store.rotate("shop", grace=2 * HOUR)
    ring = KeyRing(path)
    assert (fault(ring, first, HOUR), fault(ring, second, HOUR)) == ("", "")
    assert (fault(ring, first, 2 * HOUR), fault(ring, second, 2 * HOUR)) == ("expired", "")
    renewed = ring.find(second.encode())
    assert renewed is not None
    assert renewed.expires_at is not None
    assert (renewed.rate, renewed.expires_at - renewed.created_at) == (7, timedelta(days=10))


def test_revoking_ends_both_tokens_of_a_rotated_key(path: Path) -> None:
    store = KeyStore(path)
    tokens = [store.create("shop", "score"), store.rotate("shop")]
    assert store.revoke("shop") == 2
    ring = KeyRing(path)
    assert [fault(ring, token) for token in tokens] == ["revoked", "revoked"]


def test_a_file_that_cannot_be_read_leaves_the_known_keys(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = KeyStore(path)
    token = store.create("shop", "score")
    ring = KeyRing(path)
    assert fault(ring, token) == ""
    path.write_text('[{"name": "sh')
    clock.seconds += 0.6
    assert fault(ring, token) == ""
    assert "known before go on" in caplog.text


@pytest.mark.parametrize(
    ("name", "role", "said"),
    [("Shop", "score", "name"), ("", "score", "name"), ("a" * 64, "score", "name"),
     ("shop", "boss", "role"), ("taken", "score", "exists")],
)  # fmt: skip
def test_what_is_not_a_key_is_refused(path: Path, name: str, role: str, said: str) -> None:
    store = KeyStore(path)
    store.create("taken", "score")
    with pytest.raises(KeyStoreError, match=said):
        store.create(name, role)
    assert [key.name for key in store.all()] == ["taken"]


def test_a_name_is_free_again_once_its_key_ended(path: Path) -> None:
    store = KeyStore(path)
    store.create("shop", "score")
    store.revoke("shop")
    with pytest.raises(KeyStoreError, match="not valid"):
        store.rotate("shop")
    assert fault(KeyRing(path), store.create("shop", "score")) == ""


def _create(path: Path, first: int) -> None:
    for number in range(first, first + 10):
        KeyStore(path).create(f"key-{number}", "score")


def test_processes_that_make_keys_at_once_lose_none(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    makers = [context.Process(target=_create, args=(path, 10 * n)) for n in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {key.name for key in KeyStore(path).all()} == {f"key-{n}" for n in range(40)}
