"""The average of a network's weights over its last steps, which generalises better than the weights themselves.

Polyak and Juditsky (1992) for a mean; the exponential moving average is torch's (`torch.optim.swa_utils`).
"""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["averaged"]


def averaged(model: nn.Module, decay: float) -> AveragedModel | None:
    """Follows a network: after each `update_parameters(model)` it holds `decay` of itself and the rest of the network.

    Running statistics of batch normalisation are averaged too.

    Args:
        model: The network, not wrapped.
        decay: 0 ≤ decay < 1; the average is over some 1 / (1 - decay) steps. 0: there is none.
    """
    if decay == 0:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]
