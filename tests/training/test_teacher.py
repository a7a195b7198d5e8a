"""The mean teacher against the formula, weight by weight."""

import copy

import torch

from mprd.models.architecture import Architecture
from mprd.models.network import ReidNetwork
from mprd.training.teacher import MeanTeacher


def network(seed):
    torch.manual_seed(seed)
    return ReidNetwork(Architecture("mini", "gem", 0, 32, 16))


def test_weights_and_statistics_are_moving_averages():
    student = network(0)
    expected = {key: value.clone() for key, value in network(1).state_dict().items()}
    teacher = MeanTeacher(network(1), 0.9)
    for step in range(3):
        student.train()
        generator = torch.Generator().manual_seed(step)
        student(torch.randn(4, 3, 32, 16, generator=generator))  # moves the statistics
        with torch.no_grad():
            for parameter in student.parameters():
                parameter += 0.01
        teacher.follow(student)
        for key, value in student.state_dict().items():
            if value.dtype.is_floating_point:
                expected[key] = 0.9 * expected[key] + 0.1 * value
            else:
                expected[key] = value
    for key, value in teacher.network.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert not teacher.network.training


def test_the_student_stays_as_it_is():
    student = network(0)
    before = copy.deepcopy(student.state_dict())
    MeanTeacher(network(1), 0.5).follow(student)
    for key, value in student.state_dict().items():
        assert torch.equal(value, before[key])
