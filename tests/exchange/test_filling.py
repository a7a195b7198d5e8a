"""An export is there whole, or not at all; of two into one folder, one is refused."""

import errno
import os
from pathlib import Path

import pytest

from mprd.errors import UserError
from mprd.exchange.filling import filling


def entries(folder):
    return sorted(path.name for path in folder.rglob("*"))


def fill(folder):
    (folder / "Ann").mkdir()
    (folder / "Ann" / "1.png").symlink_to("/somewhere/1.png")
    (folder / "notes.csv").touch()


@pytest.mark.parametrize("there", [False, True])
def test_what_was_made_is_in_the_folder(tmp_path, there):
    out = tmp_path / "a" / "people"
    if there:
        out.mkdir(parents=True)
    with filling(out) as inside:
        fill(inside)
    assert entries(out) == ["1.png", "Ann", "notes.csv"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [UserError("gone"), KeyboardInterrupt()])
def test_an_error_leaves_what_was_there(tmp_path, there, error):
    out = tmp_path / "people"
    if there:
        out.mkdir()
    with pytest.raises(type(error)), filling(out) as inside:  # noqa: PT012
        fill(inside)
        raise error
    assert out.exists() == there
    assert entries(tmp_path) == ["people"] * there


def test_an_error_while_it_is_moved_leaves_nothing(tmp_path, monkeypatch):
    rename = Path.rename

    def stop(path, target):
        if path.name == "notes.csv":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt), filling(tmp_path / "people") as inside:
        fill(inside)
    assert entries(tmp_path) == []


def test_of_two_one_is_refused(tmp_path):
    out = tmp_path / "people"
    with filling(out) as inside:
        with pytest.raises(UserError, match="exists and is not empty"), filling(out):
            pass
        fill(inside)
    assert entries(out) == ["1.png", "Ann", "notes.csv"]


def test_of_two_that_found_it_empty_one_is_refused(tmp_path, monkeypatch):
    out = tmp_path / "people"
    monkeypatch.setattr("mprd.exchange.filling._require_empty", lambda _: None)
    with filling(out) as inside:
        with pytest.raises(UserError, match="Another process writes into"), filling(out):
            pass
        fill(inside)
    with pytest.raises(UserError, match="Another process writes into"), filling(out):
        pass
    assert entries(out) == ["1.png", "Ann", "notes.csv"]


@pytest.mark.parametrize("below", ["", "deep"])
def test_a_link_to_nothing_is_named(cli, later, tmp_path, below):
    (tmp_path / "people").symlink_to("nowhere")
    out = tmp_path / "people" / below
    code, _, err = cli("export-to", later.folder, "folders", "--out", out)
    assert code == 2
    assert "people is a link to nowhere, which does not exist. Name another folder." in err


def test_an_export_that_breaks_off_leaves_nothing(cli, later, tmp_path, monkeypatch):
    link = Path.symlink_to

    def refuse(path, target):
        if path.name == "c2-4-5.png":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        link(path, target)

    monkeypatch.setattr(Path, "symlink_to", refuse)
    code, _, err = cli("export-to", later.folder, "folders", "--out", tmp_path / "people")
    assert code == 2
    assert "c2-4-5.png cannot be a link" in err
    assert not os.path.lexists(tmp_path / "people")
