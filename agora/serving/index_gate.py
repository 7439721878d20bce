"""What a new index is held against before it serves: its answers, and the system's own gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agora.serving.golden import answer_of, golden_requests
from agora.serving.lookups import STORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agora.pipeline import ItemPipeline
    from agora.system import System


def index_gate(
    system: System,
) -> Callable[[ItemPipeline | None, ItemPipeline], tuple[str, ...]]:
    """The gate of a system's indexes, as `publish_index` asks it.

    The system's golden requests must be answered by the pipeline itself, without a rung below it,
    and the system's own gate must have no reason against it.
    """

    def reasons(old: ItemPipeline | None, new: ItemPipeline) -> tuple[str, ...]:
        own = system.index_gate(old, new) if system.index_gate else ()
        return (*_unanswered(system, new), *own)

    return reasons


def _unanswered(system: System, pipeline: ItemPipeline) -> Iterator[str]:
    for number, request in enumerate(golden_requests(system)):
        try:
            answer = answer_of(system, pipeline, request)
        except Exception as error:
            yield f"golden request {number} is not answered: {type(error).__name__}"
            continue
        # It is asked without a store, whatever that one holds.
        lacking = [part for part in answer["fallbacks"] if part != STORE]
        if lacking:
            yield f"golden request {number} is answered without {', '.join(lacking)}"
