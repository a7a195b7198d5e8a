"""Networks that are built for the names and shapes of their tensors."""

import sys

import torch
from torch import nn

from mprd.system.shapes_only import shapes_only


def build():
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5), nn.Embedding(6, 2)]
    nn.init.trunc_normal_(layers[2].weight, std=0.02)
    nn.init.kaiming_normal_(layers[0].weight)
    return nn.Sequential(*layers)


def test_names_and_shapes_are_those_of_the_network(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import of it fails
    before = torch.get_rng_state()
    with shapes_only():
        found = build().state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(value.is_meta for value in found.values())
    shapes = {name: value.shape for name, value in found.items()}
    network = build()
    assert {name: value.shape for name, value in network.state_dict().items()} == shapes
    assert network[3].weight.any(), "behind it numbers are drawn"
