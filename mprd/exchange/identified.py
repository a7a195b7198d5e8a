"""The final clusters of a run as identities, as other programs name them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.config import load_config
from mprd.data.added import read_added
from mprd.data.images import indexed_images
from mprd.data.index import name_cameras, split_rows
from mprd.data.times import iso_time
from mprd.decisions.facts import facts_of
from mprd.decisions.log import read_decisions
from mprd.decisions.reading import decisions_on, is_later, time_made
from mprd.pipeline.finished import finished_run


class Sighting(NamedTuple):
    """An image of a run.

    Attributes:
        path: below the folder of the images.
        file: the whole path.
        identity: "" in no cluster.
        cluster: its number, -1 in none.
        relation: mean relation to the others of its cluster; no probability.
        camera: "" unknown.
        moment: UTC or the camera's clock, `YYYY-MM-DDThh:mm:ssZ`; "" unknown.
        size: width and height in pixels.
        sure: a person named or confirmed its identity.
    """

    path: str
    file: Path
    identity: str
    cluster: int
    relation: float
    camera: str
    moment: str
    size: tuple[int, int]
    sure: bool


@dataclass(frozen=True)
class Identified:
    """All training images of a run, in the order of its index, and the images that were added.

    Attributes:
        run: name of the run.
        sightings: its images.
        waiting: entries of the log that are not applied yet.
    """

    run: str
    sightings: list[Sighting]
    waiting: int

    @property
    def identities(self) -> list[str]:
        """Names of the identities, each once, by cluster."""
        known = sorted({(one.cluster, one.identity) for one in self.sightings if one.identity})
        return [name for _, name in known]


Writer = Callable[[Identified, Path], str]  # writes into a folder; says what to do with it


def identified(folder: Path) -> Identified:
    """Read the identities of a finished run: names that people gave, else `cluster_<number>`.

    Raises:
        UserError: the run is not finished.
    """
    layout = finished_run(folder)
    clusters = read_artifact(layout.final.clusters, CLUSTERS)
    index, added = read_artifact(layout.index, INDEX), read_added(layout, clusters)
    rows = split_rows(index, "train")
    own = numbers_of(clusters["labels"], clusters["number"])
    numbers = np.concatenate([own, added["number"]])
    given = clusters.arrays.get("name", np.full(len(clusters["number"]), "", object))
    names = np.append(given.astype(object), "")[clusters["labels"]]
    paths = [*(str(path) for path in index["path"][rows]), *added.paths]
    sure, waiting = set[str](), 0
    if layout.decisions.is_file():
        facts = facts_of(decisions_on(layout.decisions, paths)[0])
        sure = facts.confirmed | set(facts.names)
        made = time_made(layout.final.clusters)
        waiting = sum(is_later(one, made) for one in read_decisions(layout.decisions))
    listed, unit = indexed_images(index, load_config(layout.config)), index.attributes["time_unit"]
    return Identified(
        layout.folder.resolve().name,
        [
            Sighting(
                path=path,
                file=file,
                identity=str(name) or (f"cluster_{number}" if number >= 0 else ""),
                cluster=int(number),
                relation=round(float(relation), 3),
                camera=str(camera),
                moment=_moment(float(time), unit),
                size=(int(width), int(height)),
                sure=path in sure,
            )
            for file, path, name, number, relation, camera, time, width, height in zip(
                [*(listed[row] for row in rows.tolist()), *added.files(index)],
                paths,
                np.concatenate([names, added["name"]]),
                numbers,
                np.concatenate([clusters["membership"], added["membership"]]),
                np.concatenate([name_cameras(index, rows), added["camera"]]),
                *(
                    np.concatenate([index[key][rows], added[key]])
                    for key in ("time", "width", "height")
                ),
                strict=True,
            )
        ],
        waiting,
    )


def _moment(time: float, unit: str) -> str:
    found = iso_time(time, unit)
    return found if found.endswith("Z") else ""
