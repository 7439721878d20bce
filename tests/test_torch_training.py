from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.torch_training import CHECKPOINT, Progress, Training, device, fit, load_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

PARAMS = Training(epochs=12, patience=3, seed=7)
ROWS, LATE = 600, 200


def inputs() -> tuple[Tensor, Tensor]:
    import torch

    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS + LATE, 8)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=len(x)) > 1).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(y)


def module() -> nn.Module:
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 1))


def trained(
    checkpoints: Path | None, params: Training = PARAMS, run: str = "", hangs_after: int = 99
) -> tuple[dict[str, np.ndarray], Progress]:
    """Weights after a training; one that hangs in the middle of an epoch waits to be killed."""
    import torch
    from torch.nn import functional

    x, y = inputs()
    begun: list[int] = []
    judged: list[int] = []

    def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        judged.append(begun[-1])
        if judged.count(hangs_after) == 3:
            time.sleep(600)
        return functional.binary_cross_entropy_with_logits(net(batch[0]).squeeze(1), batch[1])

    def batches(epoch: int) -> list[tuple[Tensor, ...]]:
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(ROWS))
        begun.append(epoch)
        return [(x[part], y[part]) for part in order.split(100)]

    net = module()
    late = (x[ROWS:], y[ROWS:])
    progress = fit(
        net, loss, batches, params,
        later=lambda net: float(loss(net, late)), checkpoints=checkpoints, run=run,
    )  # fmt: skip
    return {name: value.numpy() for name, value in net.state_dict().items()}, progress


def equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    first, _ = trained(None)
    assert equal(first, trained(None)[0])
    assert not equal(first, trained(None, Training(epochs=12, patience=3, seed=8))[0])


def test_a_training_killed_in_the_middle_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, progress = trained(None)
    code = (
        "import sys; from pathlib import Path; from tests.test_torch_training import trained;"
        "trained(Path(sys.argv[1]), hangs_after=3)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 240
    while done(tmp_path) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert done(tmp_path) == 3 < progress.epoch
    resumed, again = trained(tmp_path)
    assert equal(resumed, whole)
    assert again == progress


def done(folder: Path) -> int:
    """Epochs in the checkpoint."""
    path = folder / CHECKPOINT
    return json.loads(load_tensors(path)[1]["progress"])["epoch"] if path.exists() else 0


def test_the_weights_of_the_best_epoch_are_kept_and_training_stops_after_it() -> None:
    greedy = Training(epochs=60, learning_rate=0.1, patience=3)
    _, progress = trained(None, greedy)
    assert progress.best_epoch == int(np.argmin(progress.losses)) + 1
    assert progress.epoch == min(progress.best_epoch + 3, 60)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    whole, _ = trained(tmp_path)
    before = (tmp_path / CHECKPOINT).stat().st_mtime_ns
    assert equal(trained(tmp_path)[0], whole)
    assert (tmp_path / CHECKPOINT).stat().st_mtime_ns == before


@pytest.mark.parametrize("fault", ["other rows", "torn", "empty"])
def test_a_checkpoint_that_does_not_fit_is_not_gone_on_from(tmp_path: Path, fault: str) -> None:
    whole, _ = trained(None, run="these rows")
    trained(tmp_path, run="others" if fault == "other rows" else "these rows")
    path = tmp_path / CHECKPOINT
    if fault != "other rows":
        path.write_bytes(path.read_bytes()[:200] if fault == "torn" else b"")
    assert equal(trained(tmp_path, run="these rows")[0], whole)


def test_training_leaves_the_process_s_random_numbers_and_threads_alone() -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    trained(None)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_device_is_a_gpu_where_there_is_one() -> None:
    import torch

    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_checkpoint_holds_no_code(tmp_path: Path) -> None:
    trained(tmp_path)
    assert os.listdir(tmp_path) == [CHECKPOINT]
    tensors, about = load_tensors(tmp_path / CHECKPOINT)
    assert {name.split("/")[0] for name in tensors} == {"weights", "best", "optimiser"}
    assert set(about) == {"run", "progress"}
