"""The pieces that a setting names: data sets, backbones, clusterings, losses, descriptors ...

A piece of mprd is one function or class in the folder of its kind, and one line in the table below.
Reading the table imports nothing, and only a piece that is asked for is imported. So a wrong name
is reported before anything runs, a heavy library is imported only where it is used, and a changed
piece makes only those runs stale that use it. A user's plugins add more pieces, see `registry.py`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from mprd.config import Config
from mprd.errors import UserError, did_you_mean


class Added(NamedTuple):
    """A piece that was registered from outside of mprd.

    Attributes:
        name: the first name of its registration, as written.
        piece: the function or class.
        file: the plugin that registered it; None: a program that uses mprd.
    """

    name: str
    piece: Any
    file: Path | None


@dataclass(frozen=True)
class Kind:
    """A kind of piece.

    Attributes:
        word: what a piece is called.
        home: the module of its registry: who imports it may use any piece.
        shipped: name or pattern (`timm/*`) -> `module:attribute`.
        spelled: brings a name to the form that it is looked up by.
        added: name or pattern -> piece of a plugin.
    """

    word: str
    home: str
    shipped: dict[str, str]
    spelled: Callable[[str], str] = str
    added: dict[str, Added] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return all names and patterns, sorted."""
        return sorted({*self.shipped, *self.added})

    def find(self, name: str) -> str | None:
        """Return the known name or pattern that a name stands for."""
        known, name = self.names(), self.spelled(name)
        if name in known:
            return name
        return next((pattern for pattern in known if fnmatchcase(name, pattern)), None)

    def target(self, name: str) -> str | None:
        """Return the `module:attribute` of the piece of mprd that a name stands for."""
        return self.shipped.get(self.find(name) or "")

    def canonical(self, known: str) -> str:
        """Return the first of the names that the piece of a known name has."""
        if known in self.added:
            return self.added[known].name
        return next(name for name in self.shipped if self.shipped[name] == self.shipped[known])

    def unknown(self, name: str) -> UserError:
        """Return the error for a name that no piece has; it offers the nearest."""
        known = self.names()
        return UserError(
            f"Unknown {self.word} {name!r}{did_you_mean(name, known)}. Known: {', '.join(known)}."
        )


def spelling_key(word: str) -> str:
    """Return a name without case, `-`, `_` and spaces, which do not matter in data set names."""
    return re.sub(r"[-_\s]", "", word).lower()


# Setting that names a piece (or several) -> its kind.
PIECES = {
    "data.dataset": Kind(
        "data set",
        "mprd.data.datasets.registry",
        {
            "dukemtmcreid": "mprd.data.datasets.dukemtmcreid:read_dukemtmcreid",
            "duke": "mprd.data.datasets.dukemtmcreid:read_dukemtmcreid",
            "dukemtmc": "mprd.data.datasets.dukemtmcreid:read_dukemtmcreid",
            "dukereid": "mprd.data.datasets.dukemtmcreid:read_dukemtmcreid",
            "folder": "mprd.data.datasets.folder:read_folder",
            "market1501": "mprd.data.datasets.market1501:read_market1501",
            "market": "mprd.data.datasets.market1501:read_market1501",
            "msmt17": "mprd.data.datasets.msmt17:read_msmt17",
            "msmt": "mprd.data.datasets.msmt17:read_msmt17",
            "msmt17v1": "mprd.data.datasets.msmt17:read_msmt17",
            "msmt17v2": "mprd.data.datasets.msmt17:read_msmt17",
            "personx": "mprd.data.datasets.personx:read_personx",
            "synthetic": "mprd.data.datasets.synthetic:read_synthetic",
            "veri": "mprd.data.datasets.veri:read_veri",
            "veri776": "mprd.data.datasets.veri:read_veri",
        },
        spelling_key,
    ),
    "model.backbone": Kind(
        "backbone",
        "mprd.models.backbones.registry",
        {
            "mini": "mprd.models.backbones.mini:mini",
            "osnet_x0_25": "mprd.models.backbones.osnet:osnet",
            "osnet_x0_5": "mprd.models.backbones.osnet:osnet",
            "osnet_x0_75": "mprd.models.backbones.osnet:osnet",
            "osnet_x1_0": "mprd.models.backbones.osnet:osnet",
            "osnet_ibn_x1_0": "mprd.models.backbones.osnet:osnet",
            "osnet_ain_x1_0": "mprd.models.backbones.osnet:osnet",
            "resnet18": "mprd.models.backbones.resnet:resnet",
            "resnet34": "mprd.models.backbones.resnet:resnet",
            "resnet50": "mprd.models.backbones.resnet:resnet",
            "resnet101": "mprd.models.backbones.resnet:resnet",
            "resnet152": "mprd.models.backbones.resnet:resnet",
            "resnet50_ibn_a": "mprd.models.backbones.resnet_ibn:resnet_ibn_a",
            "resnet101_ibn_a": "mprd.models.backbones.resnet_ibn:resnet_ibn_a",
            "timm/*": "mprd.models.backbones.timm:timm_backbone",
        },
    ),
    "cluster.method": Kind(
        "clustering",
        "mprd.clustering.registry",
        {
            "community": "mprd.clustering.community:cluster_by_community",
            "dbscan": "mprd.clustering.dbscan:cluster_by_density",
            "linkage": "mprd.clustering.linkage:cluster_by_linkage",
        },
    ),
    "train.losses": Kind(
        "loss",
        "mprd.losses.registry",
        {
            "camera": "mprd.losses.camera:camera_term",
            "cluster_contrast": "mprd.losses.cluster_contrast:cluster_contrast_term",
            "hsd": "mprd.losses.hsd:hsd_term",
            "ppa": "mprd.losses.ppa:ppa_term",
        },
    ),
    "train.memory": Kind(
        "memory",
        "mprd.losses.memories.registry",
        {
            "camera": "mprd.losses.memories.camera:camera_memory",
            "cluster": "mprd.losses.memories.cluster:cluster_memory",
            "hybrid": "mprd.losses.memories.hybrid:hybrid_memory",
        },
    ),
    "evaluate.baselines": Kind(
        "descriptor",
        "mprd.inference.registry",
        {
            "histogram": "mprd.inference.histogram:histogram",
            "random": "mprd.inference.network:untrained",
        },
    ),
    "gcn.network": Kind(
        "relation network",
        "mprd.gcn.networks.registry",
        {
            "dgcnn": "mprd.gcn.networks.dgcnn:Dgcnn",
            "gatv2": "mprd.gcn.networks.gatv2:Gatv2",
        },
    ),
}


def chosen_names(config: Config, key: str) -> list[str]:
    """Return the names that a setting holds: one, several, or the keys of a mapping.

    Args:
        config: of a run.
        key: of the setting, one of `PIECES`.
    """
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return [value] if isinstance(value, str) else list(value)
