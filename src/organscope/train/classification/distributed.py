"""What the processes of one training tell each other, beside the gradients, which Lightning takes care of."""

from typing import Any

import torch.distributed
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from organscope.train.place import Place


def lightning_means(place: Place) -> dict[str, Any]:
    """How Lightning is to spread the training: over gloo on processors, over NCCL on accelerators."""
    if place.is_alone:
        return {"devices": 1}
    return {"devices": place.on_machine, "num_nodes": place.n_machines, "strategy": DDPStrategy()}


def make_equal(module: nn.Module, place: Place) -> None:
    """Give every process the weights and running statistics of the first.

    Weights are equal already; running statistics are of each process's own pictures.
    """
    if not place.is_alone:
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, src=0)


def gather(found: list[Any], place: Place) -> list[Any]:
    """What all processes have found, in the order of the processes."""
    if place.is_alone:
        return found
    parts: list[list[Any]] = [[] for _ in range(place.world)]
    torch.distributed.all_gather_object(parts, found)
    return [item for part in parts for item in part]
