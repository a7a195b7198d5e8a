"""A training step that several processes share, with the result of one.

Each process passes its images through its copy of the network and sees the embeddings of all. The
loss is that of the whole batch, computed everywhere; its gradient flows into the own images, and
the gradients of the weights are added up. So nothing that is learnt depends on how many processes
there are, but for the rounding of sums.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.batchnorm import grouped_layers
from mprd.models.network import ReidNetwork
from mprd.system import group


class _Gather(torch.autograd.Function):
    """All images' rows from each process's own; the gradient goes to the own rows."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, count: int) -> Tensor:
        """Gather (m, D) to (count, D)."""
        ctx.own = group.share(count)
        return group.gather(part.contiguous(), count)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Take the rows that came from here: every process holds the whole gradient."""
        return gradient[ctx.own], None


def embed(network: ReidNetwork, views: Tensor) -> Tensor:
    """Return the embeddings of a training batch, (B, D), each computed in one process.

    Args:
        network: in training mode; its running statistics become those of the whole batch.
        views: float (B, 3, H, W), the same in every process.

    Raises:
        UserError: the processes cannot have equally many whole batch-norm groups.
    """
    if group.size() == 1:
        return network(views)
    size = network.architecture.bn_group_size
    if size == 0 or len(views) % (size * group.size()):
        raise UserError(
            f"{group.size()} processes cannot share a batch of {len(views)} images: each wants "
            f"equally many whole batch-norm groups, and the model's bn_group_size is {size}. "
            "Change the size of the batch, model.bn_group_size (for a new start) or processes."
        )
    groups = len(views) // size
    before = [statistic.clone() for statistic in _running(grouped_layers(network))]
    part = network(views[group.share(len(views))])
    _join_running(network, before, groups=groups // group.size())
    return _Gather.apply(part, len(views))


def from_first(holder: object) -> None:
    """Take over the first process's tensors, in place: what each computed may differ by rounding.

    Args:
        holder: whatever has tensors as attributes, such as a memory.
    """
    if group.size() == 1:
        return
    for value in vars(holder).values():
        if isinstance(value, Tensor):
            torch.distributed.broadcast(value, 0)


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients that each process's images gave to its copy of the weights."""
    if group.size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, total in zip(
        gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
    ):
        gradient.copy_(total.view_as(gradient))


def _join_running(network: nn.Module, before: list[Tensor], groups: int) -> None:
    """Let running statistics have seen the groups of all processes, in the order of the ranks.

    The groups of one process move a statistic s to k s + d. Those of the ranks before are thus kept
    k times by each rank behind them.

    Args:
        network: after a pass.
        before: its running statistics before that.
        groups: how many groups each process had.
    """
    layers, count = grouped_layers(network), group.size()
    now = _running(layers)
    kept = [(1 - (layer.momentum or 0.0)) ** (1 / count) for layer in layers for _ in range(2)]
    behind = count - 1 - group.rank()
    added = [k**behind * (b - k * a) for k, a, b in zip(kept, before, now, strict=True)]
    total = torch.cat(added)
    torch.distributed.all_reduce(total)
    parts = total.split([statistic.numel() for statistic in now])
    for k, a, b, part in zip(kept, before, now, parts, strict=True):
        # The backward pass of a batch in training reads none of these, but guards them.
        b.data.copy_(k**count * a + part)
    for layer in layers:
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked += (count - 1) * groups


def _running(layers: list[nn.modules.batchnorm._BatchNorm]) -> list[Tensor]:
    both = (b for layer in layers for b in (layer.running_mean, layer.running_var))
    return [statistic for statistic in both if statistic is not None]
