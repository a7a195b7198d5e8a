"""`mprd apply`: decisions hold in the final clusters, numbers and names stay."""

import shutil

import numpy as np
import pandas as pd
import pytest

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.config import dump_yaml, load_config
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.decisions.reading import unapplied
from mprd.errors import FINAL
from mprd.pipeline.layout import RunLayout
from mprd.stages import cluster
from mprd.stages.apply import apply_decisions
from mprd.stages.report import run_report
from mprd.stages.run_stage import run_stage
from mprd.stages.table import run_table
from tests.stages.pipeline import changed


@pytest.fixture(params=["judged", "linkage"])
def done(request, judged_run, tmp_path):
    """A finished run, by communities or by average linkage."""
    run = RunLayout(shutil.copytree(judged_run.folder, tmp_path / "run"))
    config = load_config(run.config)
    if request.param == "linkage":
        linked = {"method": "linkage", "gamma": 0.1, "threshold": 0.6, "min_size": 2}
        config = changed(config, cluster=linked)
        run.config.write_text(dump_yaml(config))
        run.final.table.unlink()
        run_stage("cluster", run, config, step=FINAL)
        run_stage("export", run, config, step=FINAL)
    return run


def clusters(run) -> pd.Series:
    table = pd.read_csv(run.final.table)
    return table.set_index("path")["cluster"]


def members(found: pd.Series, number: int) -> tuple[str, ...]:
    return tuple(found.index[found == number])


def test_it_names_the_table_that_people_look_at(cli, done):
    """The table without decisions is where numbers come from; nobody asked for it."""
    before = clusters(done)
    first, second = (int(n) for n in before[before >= 0].value_counts().index[:2])
    log = DecisionLog(done.decisions)
    log.append(Decision(Kind.MERGE, members(before, second), members(before, first)))
    for undone in (False, False, True):
        if undone:
            log.undo(1)
        code, said, err = cli("apply", done.folder)
        assert code == 0, err
        assert "undecided" not in said
        (kept,) = [line for line in said.splitlines() if "keep their numbers" in line]
        assert kept.endswith(f" clusters keep their numbers of {done.final.table}")


def test_decisions_hold_and_the_rest_stays(cli, done):
    before = clusters(done)
    model = done.epoch(1).model.stat().st_mtime_ns
    first, second = (int(n) for n in before[before >= 0].value_counts().index[:2])
    log = DecisionLog(done.decisions)
    merged = log.append(Decision(Kind.MERGE, members(before, second), members(before, first)))
    log.append(Decision(Kind.RENAME, members(before, second), value="Anna"))
    code, said, err = cli("apply", done.folder)
    assert code == 0, err
    assert said.splitlines()[-1].startswith(f"2 decisions hold in {done.final.table}: ")
    after = clusters(done)
    joined = members(before, first) + members(before, second)
    assert set(after[list(joined)]) == {second}, "the number of the first that was named"
    names = pd.read_csv(done.final.table, keep_default_na=False).set_index("path")["name"]
    assert set(names[list(joined)]) == {"Anna"}
    assert (names[after != second] == "").all()
    assert done.epoch(1).model.stat().st_mtime_ns == model

    # One image leaves, by itself; it gets a number that nobody had.
    one = joined[0]
    log.append(Decision(Kind.SPLIT, (one,), joined[1:]))
    log.append(Decision(Kind.CONFIRM, (one,)))
    assert cli("apply", done.folder)[0] == 0
    now = clusters(done)
    assert now[one] > max(before.max(), after.max())
    assert set(now[list(joined[1:])]) == {second}
    table = done.final.table.read_bytes()
    assert cli("apply", done.folder)[0] == 0
    assert done.final.table.read_bytes() == table, "applied twice is applied once"

    # All taken back: the clusters are those of the run, with their numbers.
    for entry in [one.entry for one in log.entries if one.kind is not Kind.UNDO]:
        log.undo(entry)
    assert merged.entry == 1
    assert cli("apply", done.folder)[0] == 0
    assert clusters(done).equals(before)


def test_what_follows_holds_and_a_contradiction_changes_nothing(cli, done):
    before = clusters(done)
    a, b, c = (members(before, n)[0] for n in sorted(set(before) - {-1})[:3])
    log = DecisionLog(done.decisions)
    log.append(Decision(Kind.SAME, (a,), (b,)))
    log.append(Decision(Kind.DIFFERENT, (b,), (c,)))
    assert cli("apply", done.folder)[0] == 0
    after = clusters(done)
    assert after[a] == after[b] != after[c]
    files = done.final.table.read_bytes(), done.final.clusters.read_bytes()
    log.append(Decision(Kind.SAME, (a,), (c,)))
    code, _, err = cli("apply", done.folder)
    assert (code, "entry 2" in err, "entry 3" in err) == (2, True, True), err
    assert (done.final.table.read_bytes(), done.final.clusters.read_bytes()) == files

    # The way out: see the entries, and take one back.
    code, said, err = cli("decisions", done.folder)
    assert code == 0, err
    lines = said.splitlines()
    first = [line.partition(" ")[0] for line in lines]
    assert first == [*["entry"] * 3, "contradiction:", "3", "Take"]
    code, said, err = cli("decisions", done.folder, "--undo", 3, "--as", "Ann")
    assert (code, "undo entry 3" in said, "contradiction" in said) == (0, True, False), err
    assert "by Ann" in said
    code, said, _ = cli("decisions", done.folder, "--undo", 3)
    assert "entry 3 does not hold any more" in said
    code, said, _ = cli("decisions", done.folder)
    assert "(taken back)" in said.splitlines()[2]
    assert "2 decisions in effect" in said
    assert cli("apply", done.folder)[0] == 0
    assert clusters(done).equals(after)
    code, said, _ = cli("decisions", done.folder)
    assert "mprd apply" not in said, "all of them hold already"
    code, _, err = cli("decisions", done.folder, "--undo", 99)
    assert (code, "has no entry 99" in err) == (2, True)


def test_images_that_are_listed_otherwise_are_found(cli, done):
    before = clusters(done)
    a, b = (members(before, n)[0] for n in sorted(set(before) - {-1})[:2])
    log = DecisionLog(done.decisions)
    log.append(Decision(Kind.SAME, (f"day_1/{a}",), (f"day_1/{b}",)))
    log.append(Decision(Kind.SAME, ("gone.png",), (b,)))
    code, said, err = cli("apply", done.folder)
    assert code == 0, err
    assert "1 image of" in said
    assert clusters(done)[a] == clusters(done)[b]


def test_nothing_to_apply_is_said(cli, done):
    code, _, err = cli("apply", done.folder)
    assert (code, "has no decisions yet" in err) == (2, True), err


def test_the_run_comes_to_the_same_clusters(done):
    before = clusters(done)
    first, second = (int(n) for n in before[before >= 0].value_counts().index[:2])
    DecisionLog(done.decisions).append(
        Decision(Kind.MERGE, members(before, first), members(before, second))
    )
    config = load_config(done.config)
    run_stage("cluster", done, config, step=FINAL)
    run_stage("export", done, config, step=FINAL)
    one = clusters(done)
    assert set(one[list(members(before, second))]) == {first}
    labels = read_artifact(done.final.clusters, CLUSTERS)["labels"]
    assert labels.max() + 1 == len(np.unique(one[one >= 0]))


def test_the_table_before_stays_and_what_was_made_of_it_goes_with_it(cli, done):
    before, old = clusters(done), done.final.table.read_bytes()
    audited = done.final.table.with_name("clusters_audited.csv")
    audited.write_text("of the clusters before")
    DecisionLog(done.decisions).append(
        Decision(Kind.MERGE, *(members(before, n) for n in sorted(set(before) - {-1})[:2]))
    )
    code, said, err = cli("apply", done.folder)
    assert code == 0, err
    kept = done.final.folder / "clusters.1.csv"
    assert f"the clusters before are in {kept}" in said
    assert "what was made of them in clusters.1_audited.csv" in said
    assert kept.read_bytes() == old != done.final.table.read_bytes()
    assert not audited.exists()
    moved = done.final.folder / "clusters.1_audited.csv"
    assert moved.read_text() == "of the clusters before"
    audited.write_text("of these clusters")
    assert cli("apply", done.folder)[0] == 0
    assert audited.is_file(), "an equal table replaces nothing"


def test_the_report_shows_what_was_applied(cli, bare_run, tmp_path):
    run = RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run", symlinks=True))
    before = clusters(run)
    two = [members(before, n) for n in sorted(set(before) - {-1})[:2]]
    DecisionLog(run.decisions).append(Decision(Kind.MERGE, *two))
    code, said, err = cli("apply", run.folder)
    assert (code, run.report.exists()) == (0, False), err
    run_report(run=run.folder, out=run.report)
    old, metrics = run.report.read_bytes(), run.table.read_bytes()
    DecisionLog(run.decisions).undo(1)
    code, said, err = cli("apply", run.folder)
    assert code == 0, err
    assert said.splitlines()[-1].endswith(f"{run.report} shows them.")
    assert run.report.read_bytes() != old
    assert run.report.stat().st_mtime_ns >= run.final.table.stat().st_mtime_ns
    assert run.table.read_bytes() == metrics, "they tell of the epochs"


def test_the_metrics_of_a_run_without_epochs_are_those_of_its_clusters(cli, bare_run, tmp_path):
    run = RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run", symlinks=True))
    run.config.write_text(dump_yaml(changed(load_config(run.config), epochs=0)))
    before = clusters(run)
    run_table(run=run.folder, out=run.table)
    assert pd.read_csv(run.table)["clusters"].iloc[-1] == before.max() + 1
    run_report(run=run.folder, out=run.report)
    two = [members(before, n) for n in sorted(set(before) - {-1})[:2]]
    DecisionLog(run.decisions).append(Decision(Kind.MERGE, *two))
    code, _, err = cli("apply", run.folder)
    assert code == 0, err
    assert pd.read_csv(run.table)["clusters"].iloc[-1] == clusters(run)[lambda n: n >= 0].nunique()


def test_the_table_before_training_stays_likewise(bare_run, tmp_path):
    run = RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run", symlinks=True))
    new, folder = run.start_table.read_bytes(), run.start_table.parent
    run.start_table.write_text("before")
    (folder / "clusters_audited.csv").write_text("of them")
    run_stage("preview", run, load_config(run.config))
    assert run.start_table.read_bytes() == new
    assert (folder / "clusters.1.csv").read_text() == "before"
    assert (folder / "clusters.1_audited.csv").read_text() == "of them"
    assert not (folder / "clusters_audited.csv").exists()


def test_what_is_decided_meanwhile_counts_as_unknown(done, monkeypatch):
    """By another process: between reading the decisions and writing the clusters, or just after."""
    paths = list(clusters(done).index)
    log = DecisionLog(done.decisions)
    log.append(Decision(Kind.UNSURE, (paths[0],), (paths[1],)))
    made = cluster.read_decided

    def meanwhile(*arguments, **options):
        found = made(*arguments, **options)
        log.append(Decision(Kind.UNSURE, (paths[0],), (paths[2],)))
        return found

    monkeypatch.setattr(cluster, "read_decided", meanwhile)
    apply_decisions(done.folder)
    log.append(Decision(Kind.UNSURE, (paths[0],), (paths[3],)))
    monkeypatch.undo()
    assert [one.entry for one in unapplied(log.entries, done.final.clusters)] == [2, 3]
    apply_decisions(done.folder)
    assert unapplied(log.entries, done.final.clusters) == []
