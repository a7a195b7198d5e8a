"""A table that a run replaces stays, and a kill at any moment loses none."""

import os
import shutil
from contextlib import suppress

import pytest

from mprd.stages.earlier_tables import KEPT, earlier_table, keep_replaced


def replace(folder, content):
    """Do what the export does with a new table."""
    new = folder / "new"
    new.write_text(content)
    kept = keep_replaced(folder / "t.csv", new)
    os.replace(new, folder / "t.csv")
    return kept


def tables(folder):
    paths = [folder / "t.csv", *(earlier_table(folder / "t.csv", n) for n in range(1, KEPT + 2))]
    return [path.read_text() for path in paths if path.is_file()]


def test_the_latest_is_number_one_and_the_oldest_go(tmp_path):
    assert not replace(tmp_path, "0"), "there was none before"
    assert not replace(tmp_path, "0"), "an equal one is not kept"
    assert tables(tmp_path) == ["0"]
    for number in range(1, KEPT + 3):
        assert replace(tmp_path, str(number))
        first = max(0, number - KEPT)
        assert tables(tmp_path) == [str(n) for n in range(number, first - 1, -1)]


def test_a_table_that_a_user_removed_leaves_a_place(tmp_path):
    for number in range(4):
        replace(tmp_path, str(number))
    earlier_table(tmp_path / "t.csv", 2).unlink()
    replace(tmp_path, "4")
    assert tables(tmp_path) == ["4", "3", "2", "0"]
    assert earlier_table(tmp_path / "t.csv", 3).read_text() == "0", "it has not moved"


@pytest.mark.parametrize("before", range(1, KEPT + 3))
def test_a_kill_loses_nothing(tmp_path, monkeypatch, before):
    class KilledError(Exception):
        pass

    for dies_at in range(KEPT + 2):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        for number in range(before):
            replace(folder, str(number))
        steps = 0

        def move(*paths, function, limit=dies_at):
            nonlocal steps
            if steps == limit:
                raise KilledError
            steps += 1
            return function(*paths)

        with monkeypatch.context() as patch:
            for module, name in ((os, "replace"), (shutil, "copy2")):
                one = getattr(module, name)
                patch.setattr(module, name, lambda *p, one=one: move(*p, function=one))
            with suppress(KilledError):
                replace(folder, "new")
        found = set(tables(folder))
        expected = {str(n) for n in range(max(0, before - KEPT), before)}
        assert expected <= found | {str(before - 1 - KEPT)}, dies_at
        replace(folder, "new")
        again = tables(folder)
        assert again[0] == "new"
        assert again[1:] == [str(n) for n in range(before - 1, max(-1, before - 1 - KEPT), -1)]
