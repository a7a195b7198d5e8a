"""A run to audit beside other clusters, and who answers."""

import shutil

import numpy as np
import pandas as pd
import pytest

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.data.index import split_rows
from mprd.judging.audit_rows import write_audit
from mprd.judging.audit_session import beside_session
from mprd.pipeline.layout import RunLayout
from tests.judging.labels import write_labels


@pytest.fixture
def run(judged_run, tmp_path):
    copy = RunLayout(shutil.copytree(judged_run.folder, tmp_path / "run"))
    old = read_artifact(copy.final.clusters, CLUSTERS)
    labels = old["labels"].copy()
    labels[np.flatnonzero(labels == 0)[:2]] = -1  # a training that changed something
    write_labels(copy, labels, old["number"])
    return copy


def identities(run: RunLayout) -> dict[str, int]:
    index = read_artifact(run.index, INDEX)
    rows = split_rows(index, "train")
    return dict(zip(index["path"][rows], index["identity"][rows].tolist(), strict=True))


def judge(run: RunLayout, other: str, most: int = 1000, count: int = 50):
    """Answer as one who knows."""
    who, session = identities(run), beside_session(run.folder, other, count)
    while session.current is not None and session.answered < most:
        a, b = session.current.paths
        session.answer(session.answered, "1" if who[a] == who[b] else "0")
    return session


def judge_all(run: RunLayout, session) -> None:
    """Answer all pairs of an audit at once: a session writes its file for each."""
    who = identities(run)
    rows = [
        row._replace(same="1" if who[row.path_a] == who[row.path_b] else "0")
        for row in session.rows
    ]
    write_audit(session.out, rows)


def changed_table(run: RunLayout, path, images: int = 5):
    table = pd.read_csv(run.start_table)
    table.loc[: images - 1, "cluster"] = -1
    table.to_csv(path, index=False)
    return path
