"""Contrast with camera proxies, within and across cameras (Wang et al., CAP, AAAI 2021).

The term can also hold the online association of O2CAP.
"""

import torch.nn.functional as F
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.association import association_loss
from mprd.losses.memories.camera import CameraMemory
from mprd.losses.positives import mean_over_positives
from mprd.losses.registry import LossInputs


def camera_term(batch: LossInputs, settings: TrainConfig) -> Tensor:
    """Return the camera-aware loss of a batch.

    Raises:
        ValueError: the memory holds no camera proxies.
    """
    memory = batch.memory
    if not isinstance(memory, CameraMemory):
        raise ValueError("The camera loss needs train.memory: camera.")
    loss = camera_loss(
        batch.x,
        memory.proxy[batch.rows],
        memory.proxies,
        memory.proxy_cluster,
        memory.proxy_camera,
        temperature=settings.temperature,
        across=settings.across_weight,
        hardest=settings.hard_proxies,
    )
    if settings.online_weight == 0:
        return loss
    return loss + settings.online_weight * association_loss(
        batch.x,
        memory.proxy[batch.rows],
        memory.proxies,
        memory.proxy_camera + 1,
        memory.cameras,
        temperature=settings.temperature,
        hardest=settings.hard_proxies,
    )


def camera_loss(
    x: Tensor,
    own: Tensor,
    proxies: Tensor,
    cluster: Tensor,
    camera: Tensor,
    *,
    temperature: float,
    across: float,
    hardest: int,
) -> Tensor:
    """Return the mean loss of a batch: within cameras, plus a weight times that across cameras.

    Within (eq. 4): the softmax over the proxies of the image's own camera. Across (eq. 5): the mean
    over the proxies of its cluster in other cameras of the softmax over these and the proxies of
    other clusters that are most similar to the image; 0 where the cluster is in one camera only.
    Both are averaged over the batch, not by camera. Without known cameras this is the
    loss of Cluster Contrast.

    Args:
        x: (B, D), unit rows.
        own: int64 (B,), proxy of each image.
        proxies: (Q, D), unit rows.
        cluster: int64 (Q,), of each proxy.
        camera: int64 (Q,), of each proxy.
        temperature: T.
        across: weight of the loss across cameras.
        hardest: proxies of other clusters that count across cameras, at most.

    Returns:
        Scalar, differentiable in `x`.
    """
    logits = x @ proxies.T / temperature
    elsewhere = camera[None] != camera[own][:, None]
    within = F.cross_entropy(logits.masked_fill(elsewhere, float("-inf")), own)
    mates = cluster[None] == cluster[own][:, None]
    positive = mates & elsewhere
    most = min(hardest, logits.shape[1])
    negative = logits.masked_fill(mates, float("-inf")).topk(most, dim=1).values
    return within + across * mean_over_positives(logits, positive, negative, own).sum() / len(x)
