"""Stage `preview`: the clusters of the start features, before anything is trained."""

from pathlib import Path

from mprd.artifacts import CLUSTERS, INDEX
from mprd.clustering.numbering import numbers_of
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import many
from mprd.pipeline.lineage import Lineage
from mprd.stages.cluster_csv import write_cluster_csv
from mprd.stages.exclusive import exclusive


@exclusive
def run_preview(*, index: Path, clusters: Path, out: Path, config: Config) -> None:
    """Write the clusters of epoch 1, which are made from the features of the start.

    Args:
        index: `index.h5`.
        clusters: `clusters.h5` of epoch 1.
        out: CSV to write, with the columns of `final/clusters.csv`.
        config: of the run.

    Raises:
        UserError: an input is missing, damaged or of another run.
    """
    lineage = Lineage("preview")
    images = lineage.read("index", index, INDEX)
    found = lineage.read("clusters", clusters, CLUSTERS)
    numbers = numbers_of(found["labels"], found["number"])
    rows, trust = split_rows(images, "train"), found["membership"]
    write_cluster_csv(out, images, rows, numbers, trust, keep=True)
    print(
        f"{out.absolute().parents[1].name}: clusters of the start features: "
        f"{many(len(found['sizes']), 'cluster')}, "
        f"{many(int(found.attributes['num_outliers']), 'outlier')} of "
        f"{many(len(numbers), 'image')} in {out}; training goes on"
    )
