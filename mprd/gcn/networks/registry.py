"""What a relation network is: subgraphs of pairs to the logit of "one identity"."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from mprd.gcn.subgraphs import PairGraphs
from mprd.pipeline.registry import Registry


@dataclass(frozen=True)
class GcnShape:
    """All that is needed to build the network; stored with its weights.

    Attributes:
        node_features: `raw` or `relational`.
        inputs: width of the node features without the node label.
        hidden: widths of the graph convolutions.
        sort_k: nodes that SortPooling keeps.
        conv: channels of the two one-dimensional convolutions (dgcnn).
        mlp: width of the hidden layer of the classifier.
        dropout: dropout in the classifier.
        network: name of the network.
    """

    node_features: str
    inputs: int
    hidden: tuple[int, ...] = (512, 512)
    sort_k: int = 10
    conv: tuple[int, int] = (1024, 2048)
    mlp: int = 1024
    dropout: float = 0.5
    network: str = "dgcnn"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


class RelationNetwork(nn.Module):
    """Subgraphs of pairs to the logit of "one identity".

    A pair's answer must not depend on the other pairs of a call; pairs come in canonical order.

    Attributes:
        shape: what it was built from.
    """

    def __init__(self, shape: GcnShape) -> None:
        super().__init__()
        self.shape = shape

    def project(self, features: Tensor) -> Tensor:
        """Map node features (..., F) to (..., H); here, leave them as they are.

        A network that starts with a wide product does it here: once per memory row, not per pair.
        """
        return features

    def forward(self, graphs: PairGraphs, projected: Tensor) -> Tensor:
        """Return the logit of "the same identity" against "different ones".

        Args:
            graphs: subgraphs of P pairs.
            projected: (P, S, H), `project` of the features of every slot.

        Returns:
            (P,), p = sigmoid(logit).
        """
        raise NotImplementedError


NETWORKS: Registry[Callable[[GcnShape], RelationNetwork]] = Registry("gcn.network")


def build_network(shape: GcnShape) -> RelationNetwork:
    """Return a network with fresh weights.

    Raises:
        UserError: no network has this name.
        ValueError: the shape does not fit the network.
    """
    return NETWORKS[shape.network](shape)
