"""A table that a run replaces stays, with what was made of it; a kill at any moment loses none."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mprd.stages.earlier_tables import KEPT, derived_tables, earlier_table, keep_replaced


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


def made_of(folder):
    """The derived tables by name, each with what it was made of."""
    found = {one.name: one.read_text() for one in folder.glob("*_*.csv")}
    return {name: text for name, text in sorted(found.items()) if name != "t_mine.csv"}


def test_what_was_made_of_a_table_moves_with_it(tmp_path):
    (tmp_path / "t_mine.csv").write_text("a file of the user")
    for number in range(KEPT + 2):
        replace(tmp_path, str(number))
        names = ("audited", "0", "0.1") if number % 2 else ("finer",)
        for name in names:
            (tmp_path / f"t_{name}.csv").write_text(str(number))
        for path in derived_tables(tmp_path / "t.csv"):
            assert path.read_text() == str(number)
    for age in range(1, KEPT + 1):
        of, table = KEPT + 1 - age, earlier_table(tmp_path / "t.csv", age)
        made = [path.name.split("_")[1] for path in derived_tables(table)]
        assert made == (["0.1.csv", "0.csv", "audited.csv"] if of % 2 else ["finer.csv"])
        assert {path.read_text() for path in derived_tables(table)} == {table.read_text()}
    assert (tmp_path / "t_mine.csv").is_file()


@pytest.mark.parametrize("before", range(1, KEPT + 3))
def test_a_kill_loses_nothing(tmp_path, monkeypatch, before):
    class KilledError(Exception):
        pass

    (tmp_path / "before").mkdir()
    for number in range(before):
        replace(tmp_path / "before", str(number))
        (tmp_path / "before/t_finer.csv").write_text(str(number))
    for dies_at in range(2 * KEPT + 10):
        folder = shutil.copytree(tmp_path / "before", tmp_path / str(dies_at))
        steps = 0

        def dying(function, limit=dies_at):
            def step(*paths, **how):
                nonlocal steps
                if not how:  # with it: atomic removes what it has not finished
                    if steps == limit:
                        raise KilledError
                    steps += 1
                return function(*paths, **how)

            return step

        with monkeypatch.context() as patch:
            for module, name in ((os, "replace"), (shutil, "copy2"), (Path, "unlink")):
                patch.setattr(module, name, dying(getattr(module, name)))
            with suppress(KilledError):
                replace(folder, "new")
        found = set(tables(folder))
        expected = {str(n) for n in range(max(0, before - KEPT), before)}
        assert expected <= found | {str(before - 1 - KEPT)}, dies_at
        replace(folder, "new")
        again = tables(folder)
        assert again[0] == "new"
        assert again[1:] == [str(n) for n in range(before - 1, max(-1, before - 1 - KEPT), -1)]
        for age in range(1, len(again)):
            derived = earlier_table(folder / "t.csv", age).with_name(f"t.{age}_finer.csv")
            assert derived.read_text() == again[age]
        assert len(made_of(folder)) == len(again) - 1
        if steps < dies_at:
            return
    pytest.fail("there are more steps than kills")
