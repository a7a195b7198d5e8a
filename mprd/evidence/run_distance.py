"""The distances that the final clusters of a run were made from."""

from pathlib import Path

from scipy.sparse import csr_array

from mprd.artifacts import GRAPH, JUDGEMENTS, TRANSITIONS, Artifact, Schema, read_artifact
from mprd.clustering.graph_matrix import graph_distance, judged_distance
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.errors import UserError
from mprd.evidence.fusion import compared_distances
from mprd.pipeline.layout import RunLayout


def run_distance(
    clusters: Artifact, layout: RunLayout, config: Config, tracks: TrackGroups, sides: Sides
) -> csr_array:
    """Return the distances that the final clusters were made from, (G, G).

    Pairs of tracks that show two sides are left out.
    """
    final = layout.final
    graph = of_the_run(clusters, "graph", final.graph, GRAPH)
    judged = evidence = None
    if config.uses_judgements:
        predicted = of_the_run(clusters, "judgements", final.judgements, JUDGEMENTS)
        judged = tracks.between(judged_distance(graph, predicted))
    if config.use_time:
        found = of_the_run(clusters, "transitions", final.transitions, TRANSITIONS)
        evidence = found["evidence"]
    jaccard = tracks.between(graph_distance(graph))
    return sides.between(compared_distances(jaccard, judged, evidence, config.time)[0])


def of_the_run(clusters: Artifact, name: str, path: Path, schema: Schema) -> Artifact:
    """Return a file that the final clusters were made from.

    Raises:
        UserError: they were made from another one.
    """
    artifact = read_artifact(path, schema)
    if clusters.inputs.get(name) != artifact.digest:
        raise UserError(
            f"{clusters.path} was made from another {name} than {path}. Run `mprd run` again."
        )
    return artifact
