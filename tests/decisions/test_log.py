"""The log of decisions: crash safe, shared by writers, undone by number, old files read."""

import csv
import os
import subprocess
import sys
import threading
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mprd.decisions.entry import COLUMNS, Decision, Kind, cells_of, decision_of, moment_words
from mprd.decisions.log import DecisionLog, in_effect, read_decisions
from mprd.decisions.reading import time_read, unapplied
from mprd.errors import UserError
from tests.artifacts.edit import edit
from tests.faults.limits import full_disk

PATHS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


def same(first: str, second: str) -> Decision:
    return Decision(Kind.SAME, (first,), (second,))


@given(st.lists(PATHS, min_size=2, max_size=5, unique=True))
def test_any_path_comes_back(paths):
    one = Decision(Kind.MERGE, tuple(paths[1:]), (paths[0],), entry=7, source="f")
    assert decision_of(cells_of(one), "f") == one


def test_entries_are_numbered_lines(tmp_path):
    log = DecisionLog(tmp_path / "decisions.csv")
    log.append(same("a", "b"))
    log.extend([Decision(Kind.CONFIRM, ("a", "b"), who="Ann"), same("c", "d")])
    with log.path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [line[:5] for line in lines] == [
        ["1", "same", "a", "b", ""],
        ["2", "confirm", "a | b", "", ""],
        ["3", "same", "c", "d", ""],
    ]
    assert [one.entry for one in log.entries] == [1, 2, 3]
    assert log.entries[1].who == "Ann"


def test_undo_is_by_number_and_once(tmp_path):
    log = DecisionLog(tmp_path / "decisions.csv")
    log.append(same("a", "b"))
    log.append(same("c", "d"))
    gone = log.undo(1)
    assert log.undo(1) is None, "two clicks take back one entry"
    assert [one.entry for one in in_effect(log.entries)] == [2]
    assert gone is not None
    again = log.undo(gone.entry)
    assert [one.entry for one in in_effect(log.entries)] == [1, 2]
    assert again is not None
    log.undo(again.entry)
    assert [one.entry for one in in_effect(log.entries)] == [2], "and so on without end"
    with pytest.raises(UserError, match="has no entry 99"):
        log.undo(99)


def test_two_sessions_share_a_file(tmp_path):
    one, other = (DecisionLog(tmp_path / "decisions.csv") for _ in range(2))
    mine = one.append(same("a", "b"))
    theirs = other.append(same("c", "d"))
    assert (mine.entry, theirs.entry) == (1, 2)
    one.undo(mine.entry)
    assert [d.images for d in in_effect(other.entries)] == [("c",)]
    threads = [
        threading.Thread(target=lambda log=log, n=n: log.append(same(f"x{n}", "y")))
        for n, log in enumerate((one, other) * 10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [d.entry for d in read_decisions(one.path)] == list(range(1, 24))


def test_processes_share_a_file(tmp_path):
    path = tmp_path / "decisions.csv"
    DecisionLog(path)
    code = (
        "import sys; from pathlib import Path\n"
        "from mprd.decisions.log import DecisionLog\n"
        "from mprd.decisions.entry import Decision, Kind\n"
        "log = DecisionLog(Path(sys.argv[1]))\n"
        "for n in range(20): log.append(Decision(Kind.SAME, (f'{sys.argv[2]}{n}',), ('y',)))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    assert [d.entry for d in read_decisions(path)] == list(range(1, 41))


def test_half_an_entry_is_cut_off_and_said(tmp_path):
    log = DecisionLog(tmp_path / "decisions.csv")
    log.append(same("a", "b"))
    whole = log.path.read_bytes()
    log.append(Decision(Kind.RENAME, ("a", "b"), value="Anna", who="me"))
    text = log.path.read_bytes()
    for size in range(len(whole) + 1, len(text) - 1):  # killed at any byte
        log.path.write_bytes(text[:size])
        assert len(read_decisions(log.path)) == 1, "a reader passes it over"
        again = DecisionLog(log.path)
        assert log.path.read_bytes() == whole
        assert "half an entry" in again.notes[0]
    log.path.write_bytes(text[:-1])  # all but the end of the line: the entry is whole
    assert DecisionLog(log.path).entries[1].value == "Anna"
    assert log.path.read_bytes() == text


@pytest.mark.parametrize("more", [None, 0, 5, 20_000])
def test_a_full_disk_takes_nothing(tmp_path, monkeypatch, more):
    """It is full at the end of the file, or a few bytes behind it, or says so when all is there."""
    log = DecisionLog(tmp_path / "decisions.csv")
    log.append(same("a", "b"))
    before = log.path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if more is None:
            patch.setattr(os, "fsync", full)
        with (
            full_disk(2**30 if more is None else len(before) + more),
            pytest.raises(UserError, match=r"was not taken\. Free space"),
        ):
            log.append(same("c" * 30_000, "d"))
    assert log.path.read_bytes() == before
    assert log.append(same("c", "d")).entry == 2


def test_a_lock_that_cannot_be_had_is_told(tmp_path, monkeypatch):
    """Writers would take each other's numbers; who only reads needs none."""
    path = tmp_path / "decisions.csv"
    log = DecisionLog(path)
    log.append(same("a", "b"))
    lock = tmp_path / ".decisions.csv.lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="A lock must be a file"):
        log.append(same("c", "d"))
    with pytest.raises(UserError, match="A lock must be a file"):
        DecisionLog(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert len(DecisionLog(path).entries) == 1


@pytest.mark.parametrize("end", ["", "\n"])
def test_pairs_of_an_older_mprd_are_taken_over(tmp_path, end):
    old = tmp_path / "answers.csv"
    old.write_text(f"path_a,path_b,same\na,b,1\nc,d,0\ne,f,{end}")
    log = DecisionLog(tmp_path / "decisions.csv", before=old)
    kinds = [Kind.SAME, Kind.DIFFERENT, Kind.UNSURE]
    assert [one.kind for one in log.entries] == kinds
    assert "3 answers of answers.csv moved into" in log.notes[0]
    assert [one.kind for one in read_decisions(old)] == kinds
    log.undo(1)
    again = DecisionLog(log.path, before=old)
    assert (len(again.entries), again.notes) == (4, []), "once"
    turned = DecisionLog(old)
    assert (
        tmp_path / "answers.csv.old"
    ).read_text() == f"path_a,path_b,same\na,b,1\nc,d,0\ne,f,{end}"
    assert [one.kind for one in turned.entries] == kinds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,cluster\na,1", "is no file of decisions"),
        ("{header}\n1,same,a,b,,,\n1,same,c,d,,,\n", "entry 1 follows 1"),
        ("{header}\n1,equal,a,b,,,\n", "its kind is 'equal'"),
        ("{header}\n1,same,a | c,b,,,\n", "about one image"),
        ("{header}\n1,merge,a,a,,,\n", "names an image twice"),
        ("{header}\n1,merge,a,,,,\n", "needs images in others"),
        ("{header}\n1,confirm,a,b,,,\n", "needs nothing in others"),
        ("{header}\n1,undo,,,x,,\n", "needs the number"),
        ("{header}\n1,same\n", "it has 2 cells"),
        ("path_a,path_b,same\na,b,2\n", "same is '2'"),
        ("path_a,path_b,same\na,a,1\n", "pairs an image with itself"),
    ],
)
def test_another_file_is_told_and_not_touched(tmp_path, text, message):
    path = tmp_path / "decisions.csv"
    path.write_text(text.format(header=",".join(COLUMNS)))
    before = path.read_bytes()
    with pytest.raises(UserError, match=message):
        DecisionLog(path).append(same("a", "b"))
    assert path.read_bytes() == before


def test_a_wrong_decision_is_not_written(tmp_path):
    log = DecisionLog(tmp_path / "decisions.csv")
    with pytest.raises(UserError, match="needs images in others"):
        log.extend([same("a", "b"), Decision(Kind.MERGE, ("a",))])
    assert log.entries == []


def test_who_decides_is_written(tmp_path):
    log = DecisionLog(tmp_path / "d.csv", who="Ann")
    first = log.append(same("a", "b"))
    log.append(Decision(Kind.CONFIRM, ("c", "d"), who="Bob"))
    log.undo(first.entry)
    assert [one.who for one in DecisionLog(log.path).entries] == ["Ann", "Bob", "Ann"]
    assert "by Ann" in first.words()


def test_what_clusters_do_not_know_yet(judged_run, tmp_path):
    clusters = tmp_path / "clusters.h5"
    early, late, undated = (
        Decision(Kind.CONFIRM, ("a", "b"), time=time)
        for time in ("2026-11-27T10:00:00Z", "2026-11-27T10:00:02Z", "")
    )
    assert unapplied([early, late], clusters) == [early, late], "there are no clusters"
    clusters.write_bytes(judged_run.final.clusters.read_bytes())
    edit(clusters, lambda file: file.attrs.create("created", "2026-11-27T11:00:01+01:00"))
    assert unapplied([early, late, undated], clusters) == [late, undated]
    edit(clusters, lambda file: file.attrs.create("created", "2026-11-27T10:00:02+00:00"))
    assert unapplied([late], clusters) == [], "an older mprd waited for the end of the second"
    edit(clusters, lambda file: file.attrs.create("created", "2026-11-27T10:00:02.000005+00:00"))
    near = [late._replace(time=f"2026-11-27T10:00:02.{n:06}Z") for n in (4, 5, 6)]
    assert unapplied(near, clusters) == near[2:]


def test_decisions_are_read_between_those_before_and_after(tmp_path, monkeypatch):
    path = tmp_path / "d.csv"
    read = [time_read(path)]
    log = DecisionLog(path)
    for other in "bcd":
        log.append(same("a", other))
        read.append(time_read(path))
    times = [one.time for one in log.entries]
    for earlier, decided, later in zip(read, times, read[1:], strict=False):
        assert moment_words(earlier) < decided <= moment_words(later)

    class Coarse(datetime):
        """A clock that moves once a second, as the log's last entry is written in."""

        @classmethod
        def now(cls, zone):
            return datetime.now(zone).replace(microsecond=0)

    for module in ("log", "reading"):
        monkeypatch.setattr(f"mprd.decisions.{module}.datetime", Coarse)
    log.append(same("a", "e"))
    assert log.entries[-1].time <= moment_words(time_read(path))
