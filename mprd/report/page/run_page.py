"""`report.html` of one run."""

from pathlib import Path

from mprd.report.page.clusters import clusters
from mprd.report.page.cost import cost
from mprd.report.page.embedding_map import embedding_map
from mprd.report.page.health import health
from mprd.report.page.overview import overview
from mprd.report.page.pairs import pairs
from mprd.report.page.render import render
from mprd.report.page.retrieval import retrieval
from mprd.report.page.run_data import RunData
from mprd.report.page.training import training

SECTIONS = (overview, health, training, clusters, pairs, retrieval, embedding_map, cost)


def run_page(folder: Path) -> str:
    """Return the page of a finished run.

    Raises:
        UserError: the run is not finished, or an artifact is damaged.
    """
    run = RunData(folder)
    sections = [section for make in SECTIONS if (section := make(run)) is not None]
    return render(f"mprd: {run.name}", sections, run.thumbnails)
