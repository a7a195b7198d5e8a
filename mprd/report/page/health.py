"""A health check in plain words, which needs no identities."""

from dataclasses import asdict, dataclass

import numpy as np

from mprd.clustering.health import ClusterHealth, cluster_health, stability
from mprd.report.page.blocks import Finding, Findings, Section
from mprd.report.page.run_data import RunData


@dataclass(frozen=True)
class Check:
    """When a metric is worth a look, and what is said of it.

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


# Field of `ClusterHealth`, or `stability` -> its check. Limits: see docs/report.md.
CHECKS = {
    "score": Check(
        "Score",
        0.5,
        True,
        "Clusters hold together what belongs together.",
        "Clusters are still poor. More epochs or a better start help most.",
    ),
    "found": Check(
        "Found",
        0.7,
        True,
        "Most pairs that are each other's nearest across cameras lie in one cluster.",
        "Many pairs that are each other's nearest across cameras lie apart: people are split over "
        "several clusters. A larger cluster.eps, or a smaller cluster.gamma, joins more.",
    ),
    "cohesion": Check(
        "Cohesion",
        0.3,
        True,
        "Images are near to the others of their cluster.",
        "Images are far from the others of their cluster, or outside: clusters hold several "
        "people, or the network does not tell them apart yet.",
    ),
    "outliers": Check(
        "Outliers",
        0.25,
        False,
        "Few images are outside all clusters.",
        "Many images are outside all clusters and teach nothing. Early in a training that is "
        "normal; at its end raise cluster.eps, or look whether these images are any good.",
    ),
    "single_camera": Check(
        "Clusters of one camera",
        0.25,
        False,
        "Most clusters are seen by several cameras.",
        "Many clusters are of one camera only: one person in two cameras may be two clusters. Try "
        "graph.cameras: center or standardize.",
    ),
    "stability": Check(
        "As before",
        0.7,
        True,
        "Clusters hardly change any more.",
        "Clusters still change from epoch to epoch: more epochs may help.",
    ),
    "largest": Check(
        "Largest cluster",
        0.1,
        False,
        "No cluster has swallowed the others.",
        "One cluster holds a large part of all images: several people ran together. Lower "
        "cluster.eps, or raise cluster.gamma.",
    ),
    "silhouette": Check(
        "Silhouette",
        0.1,
        True,
        "Images are nearer to their own cluster than to the next.",
        "Images are hardly nearer to their own cluster than to the next one: clusters touch.",
    ),
}


def health(run: RunData) -> Section:
    """Return the check of the final clusters."""
    metrics = cluster_health(run.distance, run.labels, run.graph["neighbors"], run.camera)
    findings = judge(metrics, stability(run.labels, run.labels_of(run.config.epochs)))
    look = [finding.name.lower() for finding in findings if not finding.fine]
    verdict = f"Look at this: {', '.join(look)}." if look else "Looks fine."
    return Section(
        "health",
        "Health check",
        "Without identities: from distances and cameras alone. No single metric decides. The "
        "score, made of the next two, follows the truth best; it compares runs on the same images.",
        (Findings(verdict, findings),),
    )


def judge(metrics: ClusterHealth, steady: float) -> list[Finding]:
    """Say of each metric whether it is worth a look; unknown metrics are left out.

    Args:
        metrics: of the clusters.
        steady: their agreement with the clusters of the epoch before (`stability`).
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
