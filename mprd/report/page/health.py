"""A health check in plain words, without identities."""

from dataclasses import asdict, dataclass

import numpy as np

from mprd.clustering.health import ClusterHealth, cluster_health, stability
from mprd.clustering.tracks import TrackGroups
from mprd.report.page.blocks import Finding, Findings, Section
from mprd.report.page.run_data import RunData


@dataclass(frozen=True)
class Check:
    """When a metric is worth a look, and what the page says about it.

    Attributes:
        name: of the metric.
        limit: from here on it is fine.
        high: higher is better.
        good: said where it is fine.
        bad: said else.
    """

    name: str
    limit: float
    high: bool
    good: str
    bad: str


# Field of `ClusterHealth`, or `stability` -> its check. Limits: see docs/explanation/report.md.
CHECKS = {
    "score": Check(
        "Score",
        0.5,
        True,
        "Clusters hold together images that belong together.",
        "Clusters are still poor. More epochs or a better start help most.",
    ),
    "found": Check(
        "Found",
        0.7,
        True,
        "Most mutually nearest images of two cameras share a cluster.",
        "Many mutually nearest images of two cameras do not share a cluster: identities are split "
        "over several clusters. Raise cluster.eps, or lower cluster.gamma, to join more.",
    ),
    "cohesion": Check(
        "Cohesion",
        0.3,
        True,
        "Images are similar to the others of their cluster.",
        "Images are unlike the others of their cluster, or in no cluster. Clusters hold several "
        "identities, or the network does not tell them apart yet.",
    ),
    "outliers": Check(
        "Outliers",
        0.25,
        False,
        "Few images are in no cluster.",
        "Many images are in no cluster, and training does not use them. This is normal early in a "
        "training. At its end raise cluster.eps, or check whether these images are usable.",
    ),
    "single_camera": Check(
        "Clusters of one camera",
        0.25,
        False,
        "Several cameras see most clusters.",
        "Only one camera sees many of the clusters. One identity in two cameras may then form two "
        "clusters. Try graph.cameras: center or standardize.",
    ),
    "stability": Check(
        "As before",
        0.7,
        True,
        "Clusters hardly change from epoch to epoch.",
        "Clusters still change from epoch to epoch: more epochs may help.",
    ),
    "largest": Check(
        "Largest cluster",
        0.1,
        False,
        "No cluster is much too large.",
        "One cluster holds a large share of all images: it joins several identities. Lower "
        "cluster.eps, or raise cluster.gamma.",
    ),
    "silhouette": Check(
        "Silhouette",
        0.1,
        True,
        "Images are nearer to their own cluster than to the next one.",
        "Images are hardly nearer to their own cluster than to the next one: clusters overlap.",
    ),
}


def health(run: RunData) -> Section:
    """Return the check of the final clusters."""
    tracks = TrackGroups.of_tracks(run.index["track"][run.rows])
    metrics = cluster_health(
        tracks.between(run.distance),
        run.labels[tracks.first],
        tracks.between_lists(run.graph["neighbors"]),
        run.camera[tracks.first],
        tracks.sizes,
    )
    before = run.labels_before
    steady = float("nan") if before is None else stability(run.labels, before)
    findings = judge(metrics, steady)
    look = [finding.name.lower() for finding in findings if not finding.fine]
    verdict = f"Look at this: {', '.join(look)}." if look else "Looks fine."
    return Section(
        "health",
        "Health check",
        "It needs no identities, only distances and cameras. Do not rely on a single metric. The "
        "score combines Found and Cohesion and follows the truth best. Use it to compare runs on "
        "the same images.",
        (Findings(verdict, findings),),
    )


def judge(metrics: ClusterHealth, steady: float) -> list[Finding]:
    """Say for each metric whether it is worth a look; leave out unknown metrics.

    Args:
        metrics: of the clusters.
        steady: their agreement with the clusters of the epoch before (`stability`); NaN: none.
    """
    values = asdict(metrics) | {"stability": steady}
    findings = []
    for field, check in CHECKS.items():
        value = values[field]
        if not np.isnan(value):
            fine = value >= check.limit if check.high else value <= check.limit
            text = check.good if fine else check.bad
            findings.append(Finding(fine, check.name, f"{value:.2f}", text))
    return findings
