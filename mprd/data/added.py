"""Images that came to a finished run (`mprd add`): `final/added.h5`, the one place that has them.

Their rows stand in `final/clusters.csv` behind those of the run. They count as long as the clusters
that they were given to are those of the run; after that they wait for the next `mprd add`.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import ADDED, CLUSTERS, Artifact, read_artifact, write_artifact
from mprd.artifacts.declaration import NOT_ROWS, rows_ascend
from mprd.artifacts.files import sha256_file
from mprd.data.images import lies_outside
from mprd.errors import UserError, how_to_fix, many, pasted, say
from mprd.pipeline.layout import FinalLayout, RunLayout

MADE_FROM = ("index", "features", "clusters")


@dataclass(frozen=True)
class Added:
    """Images in the order in which they came.

    Attributes:
        arrays: as the schema describes them, M rows.
        following: number that the next new cluster of the run gets at least.
        places: places of the run, before those of these images.
    """

    arrays: Mapping[str, np.ndarray]
    following: int = 0
    places: int = 0

    def __len__(self) -> int:
        """Return the number of images, M."""
        return len(self.arrays["path"])

    def __getitem__(self, key: str) -> np.ndarray:
        """Return one array."""
        return self.arrays[key]

    @property
    def paths(self) -> list[str]:
        """How the images are called in tables and decisions."""
        return [str(path) for path in self["path"]]

    def files(self, index: Artifact) -> list[Path]:
        """Return the image files.

        Whoever made `added.h5` cannot have other files opened: outside of the folder of the run's
        images, a file must be the image that was added, by its checksum.

        Args:
            index: of the run.

        Raises:
            UserError: one is not.
        """
        files = self.locations(index)
        for path, file, known in zip(self.paths, files, self["sha256"], strict=True):
            if lies_outside(path) and file.is_file() and sha256_file(file) != known:
                raise UserError(
                    f"{file} is not the image that was added. Put that one back, or take the "
                    "images back with `mprd add RUN --undo`."
                )
        return files

    def locations(self, index: Artifact) -> list[Path]:
        """Return where the image files lie; whoever opens one unchecked takes `files`.

        Args:
            index: of the run.
        """
        root = Path(str(index.attributes["root"]))
        return [root / path for path in self.paths]

    def cameras(self, names: Sequence[str]) -> np.ndarray:
        """Return the number of each camera, int64 (M,), -1 unknown.

        Args:
            names: of the cameras 0, 1, ... that are known.
        """
        number = {name: n for n, name in enumerate(names)}
        return np.array([number.get(str(name), -1) for name in self["camera"]], np.int64)

    @property
    def pairs(self) -> csr_array:
        """Distances to the places of the run and to each other, (M, places + M)."""
        shape = len(self), self.places + len(self)
        return csr_array((self["data"], self["indices"], self["indptr"]), shape=shape)

    def write(self, run: RunLayout, inputs: Mapping[str, str]) -> None:
        """Write them as the images of a run.

        Args:
            run: its layout.
            inputs: digests of its index, features and clusters.
        """
        write_artifact(
            run.final.added,
            ADDED,
            self.arrays,
            config={},
            inputs=inputs,
            attributes={"places": self.places, "following": self.following},
        )


def nobody() -> Added:
    """Return no images."""
    kinds = {"float32": np.float32, "float64": np.float64, "int32": np.int32, "int64": np.int64}
    arrays = {
        key: np.zeros((0,) * len(one.dims), kinds.get(one.dtype, object))
        for key, one in ADDED.arrays.items()
    }
    return Added(arrays | {"indptr": np.zeros(1, np.int64)})


def stored(end: FinalLayout) -> tuple[Added, dict[str, str]]:
    """Return all images that came to a run, and what their clusters were made from.

    Args:
        end: layout of its end.

    Raises:
        UserError: the file is damaged.
    """
    if not end.added.is_file():
        return nobody(), {}
    found = read_artifact(end.added, ADDED)
    following, places = int(found.attributes["following"]), int(found.attributes["places"])
    columns = found["indices"]
    total = places + len(found["path"])
    if not rows_ascend(found["indptr"], columns) or columns.max(initial=-1) >= total:
        raise UserError(f"{end.added}: {NOT_ROWS}. {how_to_fix(end.added, ADDED.command)}")
    return Added(found.arrays, following, places), found.inputs


def read_added(run: RunLayout, clusters: Artifact) -> Added:
    """Return the images that came to a run; none, with a note, if its clusters are others now.

    Args:
        run: its layout.
        clusters: `final/clusters.h5`.
    """
    added, inputs = stored(run.final)
    if len(added) and inputs != made_from(clusters):
        say(f"note: {waiting_words(run, len(added))}", file=sys.stderr)
        return nobody()
    return added


def added_paths(end: FinalLayout) -> list[str]:
    """Return the paths of the images that came to a run, whatever it was made from since."""
    if not end.added.is_file():
        return []
    return [str(path) for path in read_artifact(end.added, ADDED, ("path",))["path"]]


def next_number(end: FinalLayout) -> int:
    """Return the least number of a new cluster, as far as added images are concerned."""
    if not end.added.is_file():
        return 0
    return int(read_artifact(end.added, ADDED, ("number",)).attributes["following"])


def made_from(clusters: Artifact) -> dict[str, str]:
    """Return the digests of what images are given to clusters by.

    Args:
        clusters: `final/clusters.h5`.
    """
    return {name: clusters.inputs[name] for name in MADE_FROM[:2]} | {"clusters": clusters.digest}


def waiting_words(run: RunLayout, count: int) -> str:
    """Return what is to be done about images that came to other clusters than those of today."""
    return (
        f"{many(count, 'image')} that you added wait: the run was made again since. They are "
        f"assigned anew by: mprd add {pasted(run.folder)}"
    )


def waiting(run: RunLayout) -> tuple[int, int]:
    """Return how many images came to a run, and how many of them wait for `mprd add`."""
    added, inputs = stored(run.final)
    if not len(added):
        return 0, 0
    clusters = read_artifact(run.final.clusters, CLUSTERS, ("number",))
    return len(added), 0 if inputs == made_from(clusters) else len(added)
