"""Networks as descriptors: a trained one, and the untrained one that it is compared with."""

from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.inference.batches import BatchSetting
from mprd.inference.embed import embed_store, largest_map
from mprd.inference.registry import Descriptor
from mprd.models.network import ReidNetwork, build_network


def network_descriptor(
    network: ReidNetwork, store: PixelStore, *, flip: bool, batch: BatchSetting
) -> Descriptor:
    """Return a network as a descriptor on the device of a store.

    Args:
        network: on the CPU.
        store: tells the device.
        flip: add the embedding of the mirrored image.
        batch: images at once; auto: by the memory of the device.
    """
    device = store.device
    return Descriptor(
        dim=network.dim,
        embed=lambda images: embed_store(
            network.to(device), images, device, flip=flip, batch=batch
        ),
        largest_map=largest_map(network, device, batch),
    )


def untrained(config: Config, store: PixelStore) -> Descriptor:
    """Return the network of a config with random weights."""
    network = build_network(config, *store.shape[1:3], pretrained=False)
    settings = config.evaluate, config.features
    return network_descriptor(network, store, flip=settings[0].flip, batch=settings[1].batch)
