"""What `mprd run` says: while it works, at its end, and when it fails."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mprd.cli import main
from mprd.cli.console import begun, failures, is_mistake, log_states
from mprd.config import merge
from mprd.pipeline.layout import RunLayout
from tests.stage_server import environment, python

MISTAKE = "mprd: error: the file is not there.\n"
CRASH = "Traceback (most recent call last)\n  File x\nKeyError: 1\n"


def run(folder, *arguments):
    """Run `mprd run` for real; return exit code, stdout, stderr."""
    done = subprocess.run(
        [python(), "-m", "mprd.cli", "run", *arguments],
        cwd=folder,
        env={**os.environ, **environment()},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def ended(monkeypatch, capsys, tmp_path):
    """Return what `mprd run` on a finished run says, with Snakemake replaced by a function."""

    def call(layout, *arguments, snakemake=lambda *_: 0):
        values = yaml.safe_load(layout.config.read_text())
        values |= {"results": str(layout.folder.parent), "runs": {layout.folder.name: {}}}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
        monkeypatch.setattr("mprd.cli.console.relay", snakemake)
        monkeypatch.setattr(sys, "argv", ["mprd", "run", str(tmp_path / "c.yaml"), *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return call


def test_dates_are_texts_for_snakemake_too(tiny_yaml, tmp_path):
    text = tiny_yaml.read_text().replace("tiny: {}", "2026-03-14: {}")
    tiny_yaml.write_text(f"{text}results: 2026-03-15\n")
    code, out, err = run(tmp_path, tiny_yaml.name, "--dry-run", "--config", "epochs=1")
    assert code == 0, out + err
    assert "train" in out
    assert "Snakemake failed" not in out + err


def test_a_config_of_another_version_among_the_results_is_written_anew(tiny_yaml, tmp_path):
    target = "results/tiny/config.yaml"
    assert run(tmp_path, tiny_yaml.name, target)[0] == 0
    listed = tmp_path / "results/tiny/config.yaml"
    text = listed.read_text()
    listed.write_text(f"use_teacher: true\n{text}")
    code, out, err = run(tmp_path, tiny_yaml.name, target)
    assert code == 0, out + err
    assert listed.read_text() == text


@pytest.mark.parametrize("text", ["", "# nothing\n"])
@pytest.mark.parametrize("command", [("run",), ("config", "check")])
def test_a_config_without_settings_is_refused(cli, tmp_path, text, command):
    (tmp_path / "c.yaml").write_text(text)
    code, _, err = cli(*command, tmp_path / "c.yaml")
    assert code == 2
    assert "c.yaml holds no settings. Write a config with `mprd new FOLDER`" in err


def test_a_reader_that_goes_ends_a_run(tiny_yaml, tmp_path):
    """As `mprd run CONFIG -p | head -1`: Snakemake waited for ever."""
    child = subprocess.Popen(
        [python(), "-m", "mprd.cli", "run", tiny_yaml.name, "-p"],
        cwd=tmp_path,
        env={**os.environ, **environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(60) == 128 + signal.SIGPIPE
    assert not (tmp_path / "results/tiny/final/clusters.csv").exists()


def test_one_file_is_made_and_then_there_is_nothing_to_do(tiny_yaml, tmp_path):
    target = "results/tiny/index.h5"
    code, out, err = run(tmp_path, tiny_yaml.name, target)
    assert (code, err) == (0, "")
    assert out.endswith(f"Made: {target}\n")
    assert "54 train" in out
    code, out, err = run(tmp_path, tiny_yaml.name, target)
    assert (code, err) == (0, "")
    assert out.endswith(f"Nothing to do: {target} is up to date.\n")
    assert "metrics.csv" not in out
    assert "profile" not in out


def files_below(folder):
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in found}


def test_a_workflow_that_has_nothing_to_do_leaves_no_trace(tiny_values, tiny_yaml, tmp_path):
    """A setting that the file does not depend on is recorded when something depends on it."""
    target = "results/tiny/index.h5"
    assert run(tmp_path, tiny_yaml.name, target)[0] == 0
    before = files_below(tmp_path / "results")
    assert any(path.name.startswith("train-") for path in before)
    assert not any(path.name == ".running.json" for path in before)
    values = merge(tiny_values, {"train": {"lr": 0.5}})
    tiny_yaml.write_text(yaml.safe_dump(values))
    assert run(tmp_path, tiny_yaml.name, target)[0] == 0
    assert files_below(tmp_path / "results") == before
    assert run(tmp_path, tiny_yaml.name, "results/tiny/no.such")[0] == 2
    assert files_below(tmp_path / "results") == before
    assert run(tmp_path, tiny_yaml.name, "results/tiny/config.yaml")[0] == 0
    after = files_below(tmp_path / "results")
    assert {path for path in before if path.name.startswith("train-")}.isdisjoint(after)


def test_a_failed_try_leaves_nothing_once_another_setting_is_tried(tiny_values, tmp_path):
    shared = tmp_path / "results/shared"
    for number in (1, 2):
        values = merge(tiny_values, {"data": {"root": f"nowhere{number}"}})
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
        assert run(tmp_path, "c.yaml", "results/tiny/index.h5")[0] == 2
        (folder,) = shared.iterdir()
        assert f"nowhere{number}" in (folder / "config.yaml").read_text()
        assert "not found" in (folder / "logs/index.log").read_text()


def test_a_mistake_that_a_stage_finds_ends_with_its_sentence_and_code_2(tiny_values, tmp_path):
    values = merge(tiny_values, {"data": {"root": "nowhere"}})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    code, _, err = run(tmp_path, "c.yaml")
    assert code == 2
    assert err.rstrip().endswith("name the folder that holds it as the data folder.")
    assert "Traceback" not in err


def test_the_end_names_the_results_and_the_next_command(ended, bare_run, judged_run):
    code, out, _ = ended(bare_run)
    assert code == 0
    assert "Nothing to do: all results are up to date." in out
    assert f"of 30 images\n  {bare_run.final.table}\n  {bare_run.start_table} (before " in out
    again = f"mprd audit {bare_run.folder}"
    assert f"of 30 images)\n  {bare_run.report}\n  clusters: not audited ({again} takes" in out
    assert out.rstrip().endswith(f"mprd answer --run {bare_run.folder}")
    _, out, _ = ended(judged_run)
    assert out.rstrip().endswith(f"--gallery {judged_run.final.embeddings}"), "identities are known"
    assert "audit" not in out


def test_the_counts_are_those_of_the_table(ended, bare_run):
    table = bare_run.final.table.read_text().splitlines()[1:]
    clusters = [line.split(",")[-3] for line in table]
    known, outliers = len({*clusters} - {"-1"}), clusters.count("-1")
    _, out, _ = ended(bare_run)
    words = f"{known} cluster{'s' * (known != 1)}, {outliers} outlier{'s' * (outliers != 1)} of"
    assert words in out


def test_after_some_work_it_does_not_say_that_there_was_none(ended, bare_run):
    def work(*_):
        bare_run.log("table").parent.mkdir(exist_ok=True)
        bare_run.log("table").write_text("made")
        return 0

    _, out, _ = ended(bare_run, snakemake=work)
    assert "Nothing to do" not in out
    assert str(bare_run.report) in out


@pytest.mark.parametrize("cores", ["x", "0", "-1", "\u00b2", "1.5", ""])
def test_cores_are_a_number_or_all(ended, bare_run, cores):
    code, _, err = ended(bare_run, f"--cores={cores}")
    assert (code, err) == (
        2,
        f"mprd: error: --cores is '{cores}': give a number of CPU cores, or all.\n",
    )


def test_results_that_are_no_utf8(ended, bare_run):
    code, _, err = ended(bare_run, "--config", os.fsdecode(b"results=M\374ller"))
    assert code == 2
    assert "is no UTF-8, which Snakemake needs" in err


def test_a_target_that_nothing_makes_is_named_in_a_dry_run(tiny_yaml, tmp_path):
    code, _, err = run(tmp_path, tiny_yaml.name, "--dry-run", "--", "results/tiny/nothing.h5")
    assert code == 2
    assert "mprd: error: results/tiny/nothing.h5 is no file that this config makes" in err


@pytest.mark.parametrize("words", [["--unlock"], ["--dag"], ["--dry-run"], ["--quiet"]])
def test_other_work_has_no_such_end(ended, bare_run, words):
    code, out, _ = ended(bare_run, *words)
    assert code == 0
    assert "Nothing to do" not in out
    assert "mprd answer" not in out


@pytest.mark.parametrize(
    ("said", "code"),
    [([MISTAKE], 2), ([MISTAKE, MISTAKE], 2), ([CRASH], 1), ([MISTAKE, CRASH], 1), ([""], 1)],
)
def test_the_exit_code_tells_a_mistake_from_a_crash(ended, bare_run, said, code):
    logs = [bare_run.log(f"stage{number}") for number in range(len(said))]

    def fail(*_):
        for log, words in zip(logs, said, strict=True):
            log.parent.mkdir(exist_ok=True)
            log.write_text(f"note: before it\n{words}")
        return 1

    found, _, err = ended(bare_run, snakemake=fail)
    for log in logs:
        log.unlink()
    assert found == code
    if MISTAKE in said:
        assert err.endswith(MISTAKE), "the sentence is seen last"
        assert str(logs[0]) in err
    assert ("To see why" in err) == (said == [""])


def test_only_logs_of_this_run_count(tmp_path):
    places = [tmp_path, tmp_path / "old.log", tmp_path / "no"]
    for name in ("old.log", "rewritten.log"):
        (tmp_path / name).write_text(MISTAKE)
    before = log_states(places)
    assert begun(places, before) == []
    late = tmp_path / "stage" / "late.log"
    late.parent.mkdir()
    for log in (late, tmp_path / "rewritten.log"):
        log.write_text(CRASH)
        os.utime(log, (0, 0))  # the clock of a file server may be behind by any time
    assert begun(places, before) == [tmp_path / "rewritten.log", late]
    said = failures(places, before)
    assert len(said) == 2
    assert not any(map(is_mistake, said))
    assert len(failures(places, {})) == 3


def test_arguments_that_snakemake_does_not_know(ended, bare_run):
    code, _, err = ended(bare_run, "--bogus")
    assert code == 2
    assert "unrecognized arguments: --bogus" in err
    assert "usage" not in err


@pytest.mark.parametrize("kind", ["no folder", "below a file", "a link to nothing", "/proc"])
def test_a_results_folder_that_cannot_be_made(tiny_yaml, tmp_path, kind):
    places = {"no folder": "file", "below a file": "file/x", "/proc": "/proc/x"}
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    code, _, err = run(tmp_path, tiny_yaml.name, "--config", f"results={places.get(kind, 'link')}")
    assert code == 2
    assert err.startswith("mprd: error: Cannot write into ")
    assert err.count("\n") == 1
    assert "Name another folder" in err


def test_a_run_whose_folder_is_a_file(tiny_yaml, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/tiny").touch()
    code, _, err = run(tmp_path, tiny_yaml.name)
    assert code == 2
    assert "Cannot write into results/tiny: a file has its name" in err


def test_a_folder_in_place_of_a_config(bare_run, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunLayout(Path("results/bare"))
    run.folder.mkdir(parents=True)
    code, _, err = cli("run", "results/bare")
    assert (code, "write a config with `mprd new results/bare`" in err) == (2, True), err
    shutil.copy(bare_run.config, run.config)
    for given in ("results/bare", "results"):
        code, _, err = cli("run", given)
        assert code == 2
        assert f"{given} is a folder of results, not a config. Go on with `mprd run CONFIG`" in err
        assert f"{run.config} lists all settings of the run." in err
    Path("broken.yaml").write_text("{")
    Path("mine.yaml").write_text("runs: {bare: {}}")
    assert "Go on with `mprd run mine.yaml`. " in cli("run", "results/bare")[2]
