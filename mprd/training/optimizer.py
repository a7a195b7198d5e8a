"""Adam for processes that live for seconds."""

import inspect

import torch


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` without the hooks of `torch.compile`.

    The first call of a hook imports the compiler: more than a second of each process.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
