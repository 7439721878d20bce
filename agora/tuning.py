"""Bayesian search for parameters (Optuna's TPE), within a budget, resumable.

The parameters in use are always the first trial: what is found is at least as good on the
objective. With a storage a stopped search goes on where it was; its budget counts all its trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import optuna

RANDOM_TRIALS = 10  # Before the search follows what it has seen; Optuna's default.


@dataclass(frozen=True, slots=True)
class Real:
    """A real number between two others; by its logarithm where it spans decades."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two others, both included."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these."""

    options: tuple[Any, ...]


Space: TypeAlias = "Mapping[str, Real | Whole | OneOf]"
Values: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """When a search ends.

    Attributes:
        trials: Trials in all; none switches the search off.
        seconds: Seconds after which no new trial begins.
    """

    trials: int
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    Attributes:
        values: The best ones.
        value: Their objective.
        first: The objective of the values in use.
        trials: Finished trials, those of earlier runs included.
    """

    values: Values
    value: float
    first: float
    trials: int


def tune(
    objective: Callable[[Values], float],
    space: Space,
    start: Values,
    budget: Budget,
    *,
    name: str = "search",
    storage: Path | None = None,
    seed: int = 0,
) -> Tuned:
    """Search for the values with the greatest objective.

    Args:
        objective: What to maximise.
        space: What may be chosen.
        start: The values in use, a point of the space.
        budget: When to end; one trial at least is made, that of the values in use.
        name: Of the search, within the storage.
        storage: SQLite file that keeps the trials; without it they are kept in memory.
        seed: Of the search; equal seeds make equal trials.

    Raises:
        ValueError: `start` names other parameters than the space.
    """
    if start.keys() != space.keys():
        differing = sorted(start.keys() ^ space.keys())
        raise ValueError(f"start and space do not name the same parameters: {differing}")
    import optuna

    study = _study(name, storage, seed)
    done = _finished(study)
    if not done:
        study.enqueue_trial(start)
    missing = max(budget.trials, 1) - len(done)
    if missing > 0:
        study.optimize(
            lambda trial: objective({key: _ask(trial, key, space[key]) for key in space}),
            n_trials=missing,
            timeout=None if budget.seconds == float("inf") else budget.seconds,
        )
    done = _finished(study)
    if not done:
        raise optuna.exceptions.OptunaError(f"{name}: no trial finished within the budget")
    best = study.best_trial
    return Tuned(dict(best.params), float(best.value), float(done[0].value), len(done))


def _study(name: str, storage: Path | None, seed: int) -> optuna.Study:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if storage:
            storage.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name=name,
            storage=f"sqlite:///{storage}" if storage else None,
            direction="maximize",
            load_if_exists=True,
        )
        # A search that goes on must not draw again what it drew before.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(study.trials), n_startup_trials=RANDOM_TRIALS
        )
    finally:
        optuna.logging.set_verbosity(before)
    return study


def _finished(study: optuna.Study) -> list[Any]:
    """Finished trials, oldest first; one that a kill interrupted is none."""
    import optuna

    complete = (optuna.trial.TrialState.COMPLETE,)
    return list(study.get_trials(deepcopy=False, states=complete))


def _ask(trial: optuna.Trial, name: str, kind: Real | Whole | OneOf) -> Any:
    match kind:
        case Real(low, high, log):
            return trial.suggest_float(name, low, high, log=log)
        case Whole(low, high, log):
            return trial.suggest_int(name, low, high, log=log)
        case OneOf(options):
            return trial.suggest_categorical(name, options)
