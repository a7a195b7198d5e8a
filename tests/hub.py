"""A stand-in for the hub: networks in its cache, as its client leaves them there."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

REVISION = "0123456789abcdef0123456789abcdef01234567"


def in_cache(
    cache: Path, name: str, config: dict[str, Any] | None, network: nn.Module | None, file: str
) -> Path:
    """Put a network into a cache of the hub, and return the folder of its files.

    Args:
        cache: folder, as `HF_HUB_CACHE`.
        name: OWNER/NAME.
        config: its `config.json`; None: it has none.
        network: whose weights it has; None: it has none.
        file: name of the weights file.
    """
    repository = cache / f"models--{name.replace('/', '--')}"
    folder = repository / "snapshots" / REVISION
    folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs/main").write_text(REVISION)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if network is not None:
        save = save_file if file.endswith(".safetensors") else torch.save
        save(network.state_dict(), folder / file)
    return folder
