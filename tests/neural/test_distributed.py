"""Two processes train one net over gloo, begun with the environment that torchrun gives."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.neural.test_train import TINY, assert_same, log_of, run
from unstir.neural.pack import Pack
from unstir.neural.validation import validation_scenes

pytestmark = [
    pytest.mark.xdist_group("distributed"),  # one worker starts the two processes, once
    pytest.mark.skipif(
        not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
        reason="this torch has no gloo",
    ),
]

CONFIG = replace(TINY, segment=11025, batch=1, steps=4, validate_every=2)
# A run from end to end, and one that stops after a step and is taken up again.
LEGS = {"whole": ("whole", 600), "stopped": ("legs", 1e-9), "resumed": ("legs", 600)}  # minutes
PROCESS = f"""
import functools, os, sys
from pathlib import Path
import torch
from unstir.neural import train
from unstir.neural.batches import TrainConfig
from unstir.neural.pack import Pack

train.validation_scenes = functools.partial(train.validation_scenes, n=1, seconds=1.0)
pack, folder, *ports = sys.argv[1:]
for (name, (out, minutes)), port in zip({LEGS!r}.items(), ports, strict=True):
    os.environ["MASTER_PORT"] = port
    told = []
    net = train.train(
        {CONFIG!r}, Pack(Path(pack)), Path(folder, out), workers=0, minutes=minutes,
        listener=lambda entry: told.append(entry["step"]),
    )
    rank = os.environ["RANK"]
    torch.save({{"weights": net.state_dict(), "told": told}}, Path(folder, f"{{name}}-{{rank}}.pt"))
"""


def free_ports(n: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture(scope="module")
def trained(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that two processes left."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-c", PROCESS, str(tiny_pack.folder), str(folder)]
    command += free_ports(len(LEGS))
    processes = [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"},
                **{"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"},
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return folder


def left(folder: Path, name: str, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / f"{name}-{rank}.pt", weights_only=True)
    return found


def test_both_end_with_the_same_weights(trained: Path) -> None:
    for name in LEGS:
        assert_same(left(trained, name, 0)["weights"], left(trained, name, 1)["weights"])


def test_the_scenes_of_both_count(trained: Path, tiny_pack: Pack, tmp_path: Path) -> None:
    scenes = validation_scenes(tiny_pack, n=1, seconds=1.0)
    alone = run(tiny_pack, tmp_path, CONFIG, scenes=scenes)
    both = left(trained, "whole", 0)["weights"]
    assert not torch.equal(alone["last.weight"], both["last.weight"])


def test_the_first_alone_validates_and_writes(trained: Path) -> None:
    assert [entry["step"] for entry in log_of(trained / "whole")] == [2, 4]
    assert left(trained, "whole", 0)["told"] == [2, 4]
    assert left(trained, "whole", 1)["told"] == []
    files = {path.name for path in (trained / "whole").iterdir()}
    assert files == {"best.pt", "last.pt", "log.jsonl"}


def test_a_stop_in_one_stops_both_and_they_go_on_to_the_same_weights(trained: Path) -> None:
    assert [entry["step"] for entry in log_of(trained / "legs")] == [1, 2, 4]
    assert left(trained, "stopped", 0)["told"] == [1]
    assert_same(left(trained, "resumed", 0)["weights"], left(trained, "whole", 0)["weights"])
