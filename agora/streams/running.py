"""All topics at once: a thread each, which end together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from agora.stores.events import open_events
from agora.stores.valkey import open_online
from agora.streams.models import load_models
from agora.streams.runner import Runner
from agora.streams.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.settings import Settings
    from agora.streams.models import Model
    from agora.streams.topics import Topic


def run(
    settings: Settings,
    once: bool = False,
    stop: threading.Event | None = None,
    topics: Sequence[Topic] = tuple(TOPICS.values()),
) -> int:
    """Keep the features of the topics fresh until told to stop; each topic has its thread.

    Args:
        settings: Where the events, the lake and the online store are.
        once: End when there are no more events.
        stop: Ends the run when set, after a last flush.
        topics: What to take. One that fails ends the others after their flush.

    Returns:
        How many events were taken.

    Raises:
        OvertakenError: Another process runs on the same topic.
    """
    stop = stop or threading.Event()
    models = [load_models(settings, topic) for topic in topics]
    with ThreadPoolExecutor(len(topics)) as pool:
        runs = [
            pool.submit(_follow, settings, topic, of_topic, once, stop)
            for topic, of_topic in zip(topics, models, strict=True)
        ]
        for done in as_completed(runs):
            if done.exception():
                stop.set()
    return sum(each.result() for each in runs)


def _follow(
    settings: Settings, topic: Topic, models: list[Model], once: bool, stop: threading.Event
) -> int:
    events, online = open_events(settings), open_online(settings)
    runner = Runner(settings, topic, models, events, online)
    try:
        return runner.run(once, stop)
    finally:
        runner.close()
        events.close()
        online.close()
