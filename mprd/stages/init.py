"""Stage `init`: the CNN that the first epoch starts from."""

from pathlib import Path
from typing import Any

import torch

from mprd.artifacts import INDEX, write_json
from mprd.artifacts.files import sha256_file
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import say
from mprd.models.backbones.hub import hub_weights, revision_of
from mprd.models.backbones.timm_source import hub_name
from mprd.models.network import build_network
from mprd.models.weights import load_checkpoint, save_network
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import open_images, training_sizes
from mprd.system import group
from mprd.system.torch_setup import select_device
from mprd.training.checks import require_sound
from mprd.training.warmup import warm_up


@exclusive
def run_init(
    *, index: Path, pixels: Path, out: Path, config: Config, metrics: Path | None = None
) -> None:
    """Make the initial network by `init.method`.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        out: `model.safetensors` to write.
        config: of the run.
        metrics: JSON with the losses of the warm-up; None writes none.

    Raises:
        UserError: unknown backbone, unreadable or unfit checkpoint, failed warm-up, too little
            memory.
    """
    lineage = Lineage("init")
    artifact = lineage.read("index", index, INDEX)
    device = select_device(config.device)
    store = open_images(lineage, pixels, artifact, split_rows(artifact, "train"), device)
    network = build_network(
        config,
        *store.shape[1:3],
        pretrained=config.init.method == "imagenet",
        checkpoint=config.init.checkpoint,
    )
    report: dict[str, Any] = {"schema": "mprd.init", "method": config.init.method, "loss": []}
    made_from = dict(lineage.digests)
    repository = hub_name(config.model.backbone)
    if config.init.method == "imagenet" and repository is not None:
        found = _hub_file(repository)
        report["weights"], made_from["weights"] = found, found["sha256"]
        say(f"Started from {found['file']} of {repository}, revision {found['revision']}.")
    if config.init.checkpoint is not None:
        loaded = load_checkpoint(network, config.init.checkpoint)
        say(f"Started from {config.init.checkpoint}: {loaded}.")
    if config.init.method == "warmup":
        require_memory("init", training_sizes(network.eval(), store), config)
        network = network.to(device).to(memory_format=torch.channels_last)
        generator = torch.Generator(device).manual_seed(config.seed)
        report["loss"] = warm_up(
            network, store, config.init.warmup, config.augment, device, generator
        )
        say(f"Warm-up: loss {report['loss'][0]:.3f} -> {report['loss'][-1]:.3f}.")
    if not group.writes():
        return
    if config.init.method == "warmup":
        rate = config.init.warmup.lr
        require_sound(network, None, store, f"Lower init.warmup.lr (now {rate:g}).")
    save_network(
        out,
        network,
        config=stage_settings(config, "init"),
        inputs=made_from,
        seed=config.seed,
    )
    if metrics is not None:
        write_json(metrics, report)


def _hub_file(repository: str) -> dict[str, str]:
    """Return which file of the hub the weights came from."""
    path = hub_weights(repository)
    return {
        "repository": repository,
        "revision": revision_of(path),
        "file": path.name,
        "sha256": sha256_file(path),
    }
