"""Identities that were given elsewhere, as decisions; there and back."""

import csv
import shutil

import pytest
from typer.testing import CliRunner

from mprd.cli.app import app
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog, read_decisions
from mprd.errors import UserError
from mprd.exchange.given import import_identities
from mprd.exchange.identified import identified
from mprd.pipeline.layout import RunLayout
from mprd.stages.apply import apply_decisions


@pytest.fixture
def run(bare_run, tmp_path):
    return RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run", symlinks=True))


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "identity"), *rows])
    return path


def who(run):
    return {one.path: one.identity for one in identified(run.folder).sightings}


def test_what_is_given_holds(run, tmp_path):
    """Every third image of each cluster is somebody else, the rest of two clusters is one."""
    found = identified(run.folder).sightings
    given = {}
    for n, one in enumerate(found):
        if one.cluster < 0:
            continue
        given[one.path] = (
            "Zoe" if n % 3 == 0 else ("Ann" if one.cluster < 2 else f"of {one.cluster}")
        )
    table = write(tmp_path / "t.csv", given.items())
    done = import_identities(run.folder, table)
    assert (done.images, done.missing) == (len(given), 0)
    apply_decisions(run.folder)
    after = who(run)
    assert {path: after[path] for path in given} == given
    assert import_identities(run.folder, table).decisions == 0, "it holds already"


def test_there_and_back(run, tmp_path):
    """What nobody changed is no decision; one image that moved is one."""
    CliRunner().invoke(app, ["export-to", str(run.folder), "csv", "--out", str(tmp_path / "out")])
    table = tmp_path / "out" / "identities.csv"
    assert import_identities(run.folder, table).decisions == 0
    before = who(run)
    names = sorted({name for name in before.values() if name})
    moved = next(path for path, name in before.items() if name == names[0])
    expected = before | {moved: names[1]}
    done = CliRunner().invoke(app, ["import", str(run.folder), str(write(table, expected.items()))])
    assert done.exit_code == 0, done.output
    assert {one.kind for one in read_decisions(run.decisions)} == {"split", "confirm"}
    log = read_decisions(run.decisions)
    text = run.decisions.read_text()
    run.decisions.write_text(f"{text}{len(log) + 1},undo,,,1,,2999-01-01T00:00:00Z\n")
    line = ["export-to", str(run.folder), "csv", "--out", str(tmp_path / "again")]
    assert "decisions are not applied yet: mprd apply" in CliRunner().invoke(app, line).output
    run.decisions.write_text(text)
    apply_decisions(run.folder)
    after = who(run)
    groups = [{path for path, name in expected.items() if name == one} for one in names[:2]]
    for group in groups:
        assert len({after[path] for path in group}) == 1
    assert not {after[path] for path in groups[0]} & {after[path] for path in groups[1]}


def test_paths_of_elsewhere(run, tmp_path):
    found = identified(run.folder).sightings
    rows = [(f"/data/{one.path}", "Ann") for one in found[:3] if "img" not in one.path]
    table = write(tmp_path / "t.csv", [*rows, ("nowhere.png", "Bob"), (found[5].path, "")])
    done = CliRunner().invoke(app, ["import", str(run.folder), str(table)])
    assert f"1 identity of {len(rows)} images" in done.output
    assert "1 image of" in done.output
    assert {one.kind for one in read_decisions(run.decisions)} <= {"confirm", "rename", "split"}


def test_two_identities_of_an_image(run, tmp_path):
    path = identified(run.folder).sightings[0].path
    table = write(tmp_path / "t.csv", [(path, "Ann"), (path, "Bob")])
    with pytest.raises(UserError, match="both 'Ann' and 'Bob'"):
        import_identities(run.folder, table)
    assert not run.decisions.is_file()


def test_a_contradiction_imports_nothing(run, tmp_path):
    x, y = (one.path for one in identified(run.folder).sightings[1:3])
    DecisionLog(run.decisions).append(Decision(Kind.DIFFERENT, (x,), (y,)))
    table = write(tmp_path / "t.csv", [(x, "Ann"), (y, "Ann")])
    with pytest.raises(UserError, match=r"nothing was imported.*is not the same as"):
        import_identities(run.folder, table)
    assert len(read_decisions(run.decisions)) == 1


def test_other_columns_are_named(run, tmp_path):
    (tmp_path / "t.csv").write_text("file,who\na,b\n")
    with pytest.raises(UserError, match="no column `path`"):
        import_identities(run.folder, tmp_path / "t.csv")
