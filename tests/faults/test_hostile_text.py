"""Text of strangers on terminals and pages: all signs visible, nothing is markup."""

import contextlib
import io
import json
import os
import shutil
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import mprd.cli
from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.cli.app import app
from mprd.cli.console import failures, last_line
from mprd.clustering.numbering import numbers_of
from mprd.config import merge, validate
from mprd.data.index import split_rows
from mprd.decisions.log import DecisionLog
from mprd.errors import UserError, say, visible
from mprd.inference.find import Found
from mprd.inference.sightings import Sightings
from mprd.judging.local import Asked
from mprd.judging.server import JudgingServer
from mprd.judging.session import Session, Shown
from mprd.pipeline.layout import RunLayout
from mprd.report.page.search_page import search_page
from mprd.report.plain import plain
from mprd.stages.cluster_csv import write_cluster_csv
from mprd.stages.index import run_index
from mprd.stages.report import run_report
from tests.artifacts.edit import edit, put
from tests.conftest import TINY

ATTACKS = {
    "colour": "\x1b[31mred",
    "cleared screen": "\x1b[2J\x1b[H",
    "title of the window": "\x1b]0;title\x07",
    "link": "\x1b]8;;http://x\x1b\\there\x1b]8;;\x1b\\",
    "newline": "a\nmprd: error: all is lost",
    "carriage return": "a\rb",
    "backspace": "a\b\b\b",
    "tab": "a\tb",
    "turned": "a\u202egnp.b",
    "isolated": "a\u2066b\u2069",
    "line separator": "a\u2028b\u2029",
    "C1": "a\x9b31mb\x85c",
    "nothing": "a\u200b\ufeffb",
    "delete": "a\x7fb",
    "tag": "a\U000e0041b",
}
MARKUP = ["[red]a[/red]", "[link=http://x]a[/link]", "[/]", ":smile:", "<b>a</b>", "{a}", "%s"]
FINE = ["Müller", "日本語　字", "a b", "Ünï", "نمی‌خواهم", "e\u0301", "a\\b", "👍🏽"]
ALL = "[bold]" + "".join(ATTACKS.values()) + "[/]<i>"


def hidden(text: str) -> set[str]:
    """Return the signs of a text that are not visible."""
    return {sign for sign in text.replace("\n", "") if visible(sign) != sign}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_cannot_be_seen_is_written_as_its_code(name):
    shown = visible(ATTACKS[name])
    assert not hidden(shown)
    assert "\n" not in shown
    assert shown != ATTACKS[name]
    assert visible(shown) == shown
    assert shown in str(UserError(f"{ATTACKS[name]} is bad."))
    assert plain(ATTACKS[name]).plain == shown


@pytest.mark.parametrize("text", FINE + MARKUP)
def test_all_else_stays(text):
    assert visible(text) == plain(text).plain == str(UserError(text)) == text
    assert plain(text).spans == []


def test_bytes_that_are_no_text():
    assert visible(os.fsdecode(b"M\xfcller.jpg")) == "M\\xfcller.jpg"
    visible("\ud800").encode()


def test_lines_of_mprd_stay_lines(capsys):
    say("a", "b\nc")
    assert capsys.readouterr().out == "a\nb\\nc\n"
    assert str(UserError("a\nb", "c")) == "a\\nb\nc"


def call(*words: object) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        assert isinstance(found.exception, UserError), found.exception
        return str(found.exception)
    return found.output


@pytest.fixture(scope="module")
def hostile(judged_run, tmp_path_factory) -> RunLayout:
    """A run in which every name is an attack."""
    run = RunLayout(tmp_path_factory.mktemp("hostile") / "run")
    shutil.copytree(judged_run.folder, run.folder)
    index = read_artifact(run.index, INDEX)
    names = np.array([f"{n}{ALL.replace('/', '')}.png" for n in range(len(index["path"]))], object)
    count = int(index["camera"].max()) + 1

    def change(file: h5py.File) -> None:
        put("path", names)(file)
        put("identity_names", np.array([ALL] * (int(index["identity"].max()) + 1), object))(file)
        file.attrs["camera_names"] = json.dumps([f"{n}{ALL}" for n in range(count)])
        file.attrs["dataset"] = file.attrs["root"] = ALL.replace("\0", "")

    edit(run.index, change)
    return run


def test_commands_show_names_as_they_are(hostile):
    clusters = read_artifact(hostile.final.clusters, CLUSTERS)
    number, path = int(clusters["number"][0]), read_artifact(hostile.index, INDEX)["path"][0]
    last = hostile.epoch(2)
    for words in (
        ("inspect", hostile.index),
        ("inspect", hostile.final.clusters),
        ("inspect", hostile.final.clusters, "--cluster", number),
        ("inspect", last.judgements, "--image", path),
        ("inspect", last.judgements, "--image", f"{ALL} nowhere"),
        ("inspect", last.transitions),
        ("inspect", last.model),
        ("inspect", f"{ALL}.h5"),
        ("inspect", f"{ALL}.yaml"),
        ("status", hostile.folder),
        ("status", f"{ALL}"),
        ("search", f"{ALL}.png", "--model", hostile.final.model, "--gallery", hostile.folder),
        ("config", "check", f"{ALL}.yaml"),
        ("new", f"{ALL}"),
    ):
        said = call(*words)
        assert said.strip(), words
        assert not hidden(said), (words, hidden(said))
        assert "mprd: error: all is lost" not in said.splitlines(), words
    assert "[bold]" in call("inspect", hostile.final.clusters, "--cluster", number)


def test_a_search_shows_names_as_they_are(hostile, tmp_path):
    image = tmp_path / f"{ALL.replace('/', '')}.png"
    Image.new("RGB", (32, 64)).save(image)
    gallery = hostile.final.embeddings
    said = call("search", image, "--model", hostile.final.model, "--gallery", gallery, "-k", 2)
    assert len(said.splitlines()) == 3
    assert not hidden(said)
    said = call("assign", image, "--run", hostile.folder, "--out", tmp_path / "new.csv")
    assert not hidden(said)
    assert pd.read_csv(tmp_path / "new.csv")["path"].tolist() == [str(image)]


def test_page_and_table(hostile, tmp_path):
    run_report(run=hostile.folder, out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    begin = page.index("<main") if "<main" in page else 0
    assert not hidden(page[begin:].replace("\t", "")) - {"\ufeff"}
    for attack in ("\x1b", "\u202e", "\u2066", "<i>"):
        assert attack not in page
    index, found = (
        read_artifact(hostile.index, INDEX),
        read_artifact(hostile.final.clusters, CLUSTERS),
    )
    numbers = numbers_of(found["labels"], found["number"])
    rows = split_rows(index, "train")
    write_cluster_csv(tmp_path / "clusters.csv", index, rows, numbers, found["membership"])
    table = pd.read_csv(tmp_path / "clusters.csv", keep_default_na=False)
    assert table["path"].tolist() == index["path"][rows].tolist(), "a table holds names as they are"


def test_local_pages(tmp_path):
    name = f"{ALL}</script>{{{{ 7*7 }}}}.png"
    question = Shown((f"a{name}", f"b{name}"), (ALL, ALL), (0, 1), 2)
    asked = Session([question], DecisionLog(tmp_path / "decisions.csv"))
    with JudgingServer(asked, lambda row: "data:image/png;base64,", apply=lambda: ALL) as server:
        server.apply_answers()
        page = server.respond(Asked(""), "nonce").body.decode()
    assert not hidden(page)
    assert "<i>" not in page
    assert page.count("</script>") == page.count("<script")
    assert "49" not in page


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "link"])
def test_a_listing_and_a_search_page(tmp_path, capsys, name):
    folder = tmp_path / "images"
    folder.mkdir()
    image = folder / f"{ATTACKS[name]}.png"
    Image.new("RGB", (16, 32)).save(image)
    (folder / f"{ATTACKS[name]}.jpg").write_text("no image")
    (folder / f"{ATTACKS[name]}.heic").write_text("another")
    data = {"dataset": "folder", "root": str(folder), "on_bad_image": "skip"}
    run_index(out=tmp_path / "index.h5", config=validate(merge(TINY, {"data": data}), "x"))
    caught = capsys.readouterr()
    assert visible(ATTACKS[name]) in caught.out
    assert not hidden(caught.out + caught.err)
    one = np.full(1, np.nan), np.zeros(1, int), np.zeros(1, int)
    seen = Sightings(*one, *[[ATTACKS[name]]] * 3, "")
    near = np.ones((1, 1)), np.zeros((1, 1), int)
    page = search_page(Found([image], [image], *near, None, seen, seen))
    assert not hidden(page.replace("\t", ""))


def test_values_of_configs_and_manifests(tmp_path, monkeypatch, capsys):
    config = tmp_path / "c.yaml"
    for values in ({"data": {"dataset": ALL}}, {ALL: 1}, {"seed": ALL}, {"runs": {ALL: {}}}):
        config.write_text(yaml.safe_dump(values))
        monkeypatch.setattr(sys, "argv", ["mprd", "config", "check", str(config)])
        with pytest.raises(SystemExit) as ended:
            mprd.cli.main()
        said = capsys.readouterr().err
        assert ended.value.code == 2
        assert said.startswith("mprd: error: ")
        assert not hidden(said)
        assert len(said.splitlines()) == 1 or "Looked at" in said


def test_logs_of_stages(tmp_path):
    log = tmp_path / "stage.log"
    log.write_text(f"mprd: error: {ALL.replace(chr(10), '')}\n")
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        say(*failures([log], {}), last_line([tmp_path]))
    assert not hidden(stream.getvalue())
