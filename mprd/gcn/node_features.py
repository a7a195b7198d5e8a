"""The relational features of a node: what it is to the two ends of a pair, not how it looks.

What is learnt from them on some images holds for others.
"""

from enum import IntEnum

import torch
from torch import Tensor


class ToEnd(IntEnum):
    """Columns of what a node is to one end of its pair."""

    COSINE = 0
    CENTRED_COSINE = 1  # around the means of their cameras
    JACCARD = 2  # similarity, 1 - distance
    CLOSENESS_FROM_END = 3  # of the node in the end's neighbour list
    CLOSENESS_TO_END = 4  # of the end in the node's neighbour list
    SAME_CAMERA = 5  # 1 if both are of one known camera
    CAMERA_LEVEL_FROM_END = 6  # rank of the node among the images of its camera, from the end
    CAMERA_LEVEL_TO_END = 7  # rank of the end among the images of its camera, from the node


# Of the pair itself every node has the larger of two directions, and of ranks the smaller too.
PAIR_LARGER = [
    ToEnd.COSINE,
    ToEnd.CENTRED_COSINE,
    ToEnd.JACCARD,
    ToEnd.CLOSENESS_FROM_END,
    ToEnd.SAME_CAMERA,
    ToEnd.CAMERA_LEVEL_FROM_END,
]
PAIR_SMALLER = [ToEnd.CLOSENESS_FROM_END, ToEnd.CAMERA_LEVEL_FROM_END]
RELATIONAL_FEATURES = 2 * len(ToEnd) + len(PAIR_LARGER) + len(PAIR_SMALLER)


def relational_features(
    to_first: Tensor, to_second: Tensor, in_first: Tensor, in_second: Tensor
) -> Tensor:
    """Arrange what nodes are to both ends so that a pair and its mirror image are the same.

    Per node: its relation to its own end, then to the other. A node of both stars has the larger
    and the smaller value. Then the relation of the pair itself.

    Args:
        to_first: float32 (P, S, 8), columns `ToEnd`; slots 0 and 1 are the ends.
        to_second: float32 (P, S, 8).
        in_first: bool (P, S), slots linked to the first end.
        in_second: bool (P, S), slots linked to the second end.

    Returns:
        float32 (P, S, 24).
    """
    of_second = in_second.clone()
    of_second[:, 1].fill_(True)
    own = torch.where(of_second[:, :, None], to_second, to_first)
    other = torch.where(of_second[:, :, None], to_first, to_second)
    shared = (in_first & in_second)[:, :, None]
    own = torch.where(shared, torch.maximum(to_first, to_second), own)
    other = torch.where(shared, torch.minimum(to_first, to_second), other)
    # The second end seen from the first, and the first seen from the second.
    forth, back = to_first[:, 1], to_second[:, 0]
    larger, smaller = torch.maximum(forth, back), torch.minimum(forth, back)
    # Column by column: a list of columns would be brought to the device anew in each call.
    columns = [larger[:, n] for n in PAIR_LARGER] + [smaller[:, n] for n in PAIR_SMALLER]
    pair = torch.stack(columns, dim=1)
    return torch.cat([own, other, pair[:, None, :].expand(-1, own.shape[1], -1)], dim=2)
