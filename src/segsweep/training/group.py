"""The devices that train one network together; one that trains alone is a group of its own.

torch's distributed package does the work: a gradient is the mean over the devices (`DistributedDataParallel`), and
what is measured is summed. Batch normalisation uses each device's part of a batch, as the original's did.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

__all__ = ["ALONE", "Group"]


class Group:
    """Who shares the batches.

    Args:
        rank: Which of them this process is; the first one, 0, reports and writes.
        size: How many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network for training: its gradients become the mean over the group's."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model)

    def same_buffers(self, model: nn.Module) -> None:
        """Gives all of them the first one's running statistics, which are the ones that are saved."""
        if self.size > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def share(self, value: Tensor) -> Tensor:
        """The mean of a scalar over the group."""
        return self.total(value) / self.size if self.size > 1 else value

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over the group."""
        if self.size == 1:
            return value
        summed = value.detach().clone()
        distributed.all_reduce(summed)
        return summed

    def agreed(self, value: float) -> float:
        """The first one's value, for decisions that all must take alike, such as by the clock."""
        if self.size == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        told = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(told, src=0)
        return float(told.item())


ALONE = Group()
