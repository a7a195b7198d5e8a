"""The command line as a user types it: exit codes, sentences, no tracebacks."""

import re
import subprocess
import sys
import time

import h5py
import pytest
import yaml
from typer.main import get_command

from mprd.cli import main
from mprd.cli.app import app
from mprd.config import load_config, merge
from mprd.errors import UserError
from mprd.pipeline.files import require_given
from mprd.pipeline.stages import STAGES
from mprd.pipeline.stages import stage as find_stage


def call(monkeypatch, capsys, *args):
    """Return exit code, stdout and stderr of `mprd ARGS`."""
    monkeypatch.setattr(sys, "argv", ["mprd", *map(str, args)])
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def cli(monkeypatch, capsys):
    return lambda *args: call(monkeypatch, capsys, *args)


def test_help_lists_every_stage(cli):
    code, out, _ = cli("--help")
    assert code == 0
    for name in [
        "synthesize",
        "index",
        "pixels",
        "init",
        "features",
        "graph",
        "ranks",
        "metadata",
        "pretrain",
        "judge",
        "cluster",
        "train",
        "learn",
        "evaluate",
        "export",
        "table",
        "summary",
        "inspect",
        "diff",
        "report",
        "new",
        "run",
        "config",
    ]:
        assert f"  {name} " in out


def commands(group, words=()):
    """Yield the words of every command and group of the command line."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


ALL = dict(commands(get_command(app)))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_no_help_cuts_a_summary(cli, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = cli(*words, "--help")
    usage, _, text = out.partition("\n\n")
    assert code == 0
    assert usage.startswith("Usage: ")
    text = re.sub(r"\w\.\.\. <", "<", text)  # of an argument that takes several
    assert "..." not in text
    assert "…" not in text
    for name, command in getattr(ALL[words], "commands", {}).items():
        first = command.help.partition("\n")[0]
        assert f"{name} {first}" in " ".join(text.split()), "the whole first line"


def test_help_is_fast():
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import sys, mprd.cli; sys.exit('torch' in sys.modules)"],
        check=True,
    )
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("one", [one for one in STAGES if one.reads], ids=lambda one: one.name)
def test_a_command_without_its_files_names_one(cli, one):
    code, _, err = cli(one.command or one.name)
    assert code == 2
    assert re.search(r"Missing (option '--|argument ')", err)


def test_epochs_count_from_one(cli):
    code, _, err = cli("train", "--epoch", "0")
    assert code == 2
    assert "'--epoch'" in err
    assert "greater than or equal to 1" in err


def test_synthesize_says_how_many_images(cli, tmp_path):
    path, out = tmp_path / "c.yaml", tmp_path / "images"
    few = {"train_identities": 2, "test_identities": 2}
    path.write_text(yaml.safe_dump({"data": {"synthetic": few}}))
    code, said, _ = cli("synthesize", "--config", path, "--out", out)
    assert code == 0
    assert said == f"{len(list(out.rglob('*.jpg')))} images in {out}\n"


def test_index_without_a_config(cli, market, tmp_path):
    out = tmp_path / "index.h5"
    code, text, _ = cli("index", "--dataset", "Market-1501", "--data-dir", market, "--out", out)
    assert code == 0
    assert "54 train, 9 query, 18 gallery images" in text
    with h5py.File(out) as file:
        assert file.attrs["num_train"] == 54


def test_inspect_prints_and_checks(cli, market, tmp_path):
    out = tmp_path / "index.h5"
    cli("index", "--dataset", "market1501", "--data-dir", market, "--out", out)
    code, text, _ = cli("inspect", out)
    assert code == 0
    for part in (
        "mprd.index version 4",
        "dataset: market1501",
        "identity",
        "int32",
        "Check passed",
    ):
        assert part in text
    with h5py.File(out, "r+") as file:
        file["camera"][0] = 2
    code, _, err = cli("inspect", out)
    assert code == 2
    assert "is not what was written" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("index", "--dataset", "markt1501", "--out", "x.h5"), "market1501"),
        (("index", "--dataset", "market1501", "--data-dir", "no", "--out", "x.h5"), "Looked at"),
        (("index", "--config", "none.yaml", "--out", "x.h5"), "none.yaml does not exist"),
        (("pixels", "--index", "none.h5", "--out", "x.h5"), "none.h5 does not exist"),
        (
            ("graph", "--index", "i.h5", "--features", "none.h5", "--out", "x.h5"),
            "Make it with `mprd features`",
        ),
        (("inspect", "none.h5"), "none.h5 does not exist"),
        (("evaluate", "--index", "i", "--pixels", "p", "--out", "o", "--rankings", "r"), "either"),
        (("new", "~nobody_here/crops"), "names the home of a user who is not known"),
        (("run", "."), "is a folder, not a config"),
        (("table", "none.csv"), "not a metrics table"),
        (("summary", "--out", "o.csv", "m.csv"), "VARIANT=metrics.csv"),
    ],
)
def test_mistakes_end_with_a_sentence_and_code_2(cli, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli(*args)
    assert code == 2
    assert err.startswith("mprd: error: ")
    assert message in err
    assert list(tmp_path.glob("*.h5")) == []


def test_pairs_of_an_unclustered_run(cli, tmp_path):
    code, _, error = cli("pairs", "--run", str(tmp_path), "--out", str(tmp_path / "p.csv"))
    assert code == 2
    assert "does not hold a clustered epoch. Make one with `mprd cluster`" in error
    assert not (tmp_path / "p.csv").exists()


def test_inspect_refuses_other_files(cli, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    assert "no file that a run leaves" in cli("inspect", tmp_path / "a.txt")[2]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = 1
    assert "holds no artifact of mprd" in cli("inspect", tmp_path / "b.h5")[2]


def test_config_check(cli, tiny_yaml):
    code, out, _ = cli("config", "check", tiny_yaml)
    assert code == 0
    assert "tiny: seed 0, 2 epochs, market1501" in out
    tiny_yaml.write_text("epohcs: 3")
    code, _, err = cli("config", "check", tiny_yaml)
    assert code == 2
    assert "did you mean `epochs`?" in err


def test_config_check_tells_each_file_that_is_missing(cli, tiny_values, tmp_path):
    named = {
        "init": {"method": "checkpoint", "checkpoint": "start.pth"},
        "gcn": {"metadata": {"source": "pairs", "file": "pairs.csv"}},
        "cluster": {"constraints": "answers.csv"},
        "export": {"numbers": "earlier.csv"},
        "data": {"root": "elsewhere"},
    }
    path = tmp_path / "typos.yaml"
    path.write_text(yaml.safe_dump(merge(tiny_values, named)))
    code, out, _ = cli("config", "check", path)
    notes = [line.split()[1] for line in out.splitlines() if "which is not there" in line]
    keys = ["data.root", "init.checkpoint", "cluster.constraints", "gcn.metadata.file"]
    assert (code, notes) == (0, [*keys, "export.numbers"])
    path.write_text(yaml.safe_dump(tiny_values))
    assert "which is not there" not in cli("config", "check", path)[1]


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    code = "import os, mprd.cli; print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])"
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for own, expected in ((None, "PASSIVE 0"), ("ACTIVE", "ACTIVE 0")):
        if own:
            monkeypatch.setenv("OMP_WAIT_POLICY", own)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == expected


def test_a_run_is_told_by_its_overrides(cli, tiny_yaml, tmp_path, monkeypatch):
    monkeypatch.setattr("mprd.cli.console.relay", lambda *arguments: 0)
    code, said, _ = cli("run", tiny_yaml, "--config", f"results={tmp_path}/other", "epochs=7")
    assert code == 0
    assert f": 7 epochs, into {tmp_path}/other/" in said


@pytest.mark.parametrize("name", ["metadata", "pretrain", "judge", "learn", "ranks", "transitions"])
def test_a_stage_that_no_run_of_the_config_has(cli, tiny_yaml, tmp_path, monkeypatch, name):
    """Not only where its files are missing: it would compute what nothing reads."""
    monkeypatch.chdir(tmp_path)
    stage = find_stage(name)
    files = [word for read in stage.reads if read.required for word in (read.flag, "x.h5")]
    files += [word for write in stage.writes for word in (f"--{write.keyword}", "out.h5")]
    for config, whose in (([], "the defaults do"), (["--config", tiny_yaml], f"{tiny_yaml} does")):
        code, _, err = cli(name, *files, *config)
        assert code == 2
        assert f"`mprd {name}` goes with {stage.when.words}, which {whose} not set." in err


@pytest.mark.parametrize(
    "words",
    [
        ["epochs", "--run", "r", "--first", "1", "--last", "3"],
        ["epochs", "--run", "r", "--first", "3", "--last", "3"],
        ["train", "--epoch", "3", "--out", "o"]
        + [w for name in ("index", "pixels", "features", "clusters") for w in (f"--{name}", "x")]
        + ["--model", "x"],
    ],
)
def test_an_epoch_that_the_config_does_not_have(cli, tiny_yaml, words):
    code, _, err = cli(*words, "--config", tiny_yaml)
    assert code == 2
    assert "3 is behind the last epoch: the config sets epochs: 2." in err


def test_a_missing_file_is_told_with_the_command_that_was_typed(cli, tiny_values, tmp_path):
    """Clusters for the relation GCN are a stage of their own, but no command."""
    more = {"use_gcn": True, "use_time": True, "graph": {"cameras": "center", "k1": 20}}
    more["cluster"] = {"relation": "judged", "method": "community"}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(merge(tiny_values, more)))
    config, named = load_config(path), []
    for one in STAGES:
        for read in one.reads:
            if read.needed and not read.required and (not read.when or read.when.holds(config)):
                words = f"^`mprd {one.command or one.name}` needs {read.flag}: "
                with pytest.raises(UserError, match=words):
                    require_given(one.name, {read.name: None}, config, step=2)
                named.append(one.name)
    assert {"draft", "cluster", "train"} <= {*named}
