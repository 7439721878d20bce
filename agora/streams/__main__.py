"""Run the stream: `python -m agora.streams [--once]`. SIGTERM and SIGINT end it after a flush."""

from __future__ import annotations

import signal
import sys
import threading

from agora.settings import settings
from agora.streams.running import run


def main() -> int:
    """Run until told to stop, or with `--once` until there are no more events."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    taken = run(settings(), once="--once" in sys.argv[1:], stop=stop)
    print(f"{taken} events taken")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
