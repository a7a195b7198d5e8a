"""The embedding network and its files."""

from mprd.models.backbones import names as backbone_names
from mprd.models.embedder import Embedder, load_model
from mprd.models.footprint import Footprint, footprint
from mprd.models.network import Architecture, ReidNetwork, normalize_pixels
from mprd.models.weights import load_checkpoint, load_network, save_network

__all__ = [
    "Architecture",
    "Embedder",
    "Footprint",
    "ReidNetwork",
    "backbone_names",
    "footprint",
    "load_checkpoint",
    "load_model",
    "load_network",
    "normalize_pixels",
    "save_network",
]
