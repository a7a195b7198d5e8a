"""A generator of pedestrian-like images: the embedded data set of the demo and the tests."""

from mprd.data.synthetic.dataset import SyntheticSettings, generate

__all__ = ["SyntheticSettings", "generate"]
