"""Our Adam: torch's own bytes, without its compiler."""

import subprocess
import sys

import torch

from mprd.training.optimizer import Adam

# What training calls: steps, a schedule, the state there and back.
CALLS = """
import sys, torch
from mprd.training.optimizer import Adam
layer = torch.nn.Linear(3, 2)
optimizer = Adam(layer.parameters(), lr=0.1, fused=True)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
optimizer.zero_grad(set_to_none=True)
layer(torch.ones(1, 3)).sum().backward()
optimizer.step()
schedule.step()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""


def test_the_steps_of_torch():
    ends = []
    for kind in (torch.optim.Adam, Adam):
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3)
        optimizer = kind(layer.parameters(), lr=0.01, weight_decay=0.1, fused=True)
        for _ in range(5):
            optimizer.zero_grad(set_to_none=True)
            layer(torch.randn(6, 4)).square().sum().backward()
            optimizer.step()
        ends.append((layer.state_dict(), optimizer.state_dict()))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=0)


def test_the_compiler_is_not_imported():
    subprocess.run([sys.executable, "-c", CALLS], check=True)
