"""What `mprd run` makes of Snakemake's own arguments."""

from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser, parse_config

from mprd.errors import UserError
from mprd.pipeline.workflow import overrides, profile, snakemake, targets


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "results=other", "epochs=1", "--dry-run"],
        ["-n", "-C", "epochs=2", "--config", "train={lr: 0.01}"],
        ["--config=epochs=4", "--quiet", "all"],
    ],
)
def test_overrides_are_those_of_snakemake(arguments):
    entries = [word.removeprefix("--config=") for word in arguments if "=" in word]
    assert overrides(arguments) == parse_config(entries)


def test_without_overrides():
    assert overrides(["--dry-run", "--set-threads", "train=2", "--configfile", "a=b"]) == {}


@pytest.mark.parametrize("entry", ["train.lr=0.2", "epochs"])
def test_what_snakemake_does_not_understand(entry):
    with pytest.raises(UserError, match=r"--config .*: .*'train=\{lr: 0.001\}'"):
        overrides(["--config", entry])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("train={lr: 010}", "`010` in line 1 is the number 8 in YAML"),
        ("train={iters: 5, iters: 6}", "`iters` is given twice"),
        ("seeds=[1, 02]", "`02` in line 1 is the number 2"),
        ("runs={no: {}}", "the name `no` in line 1 is yes or no"),
        ("cluster= {eps: 1:30}", "`1:30` in line 1 is the number 90"),
        ("train={lr: ", "expected the node content"),
    ],
)
def test_sections_that_yaml_reads_as_something_else(entry, words):
    with pytest.raises(UserError, match=r"\. A section goes as in --config") as caught:
        overrides(["--config", "epochs=3", entry])
    assert words in str(caught.value)


def test_the_default_profile_as_options_says_the_same():
    """Snakemake tells of a profile in a long line, so `mprd run` gives it what stands in there."""
    given = ["--configfile", "c.yaml", "--cores", "2", "results/tiny/report.html"]
    as_options = snakemake(Path("c.yaml"), *given[2:])[3:]
    found = vars(get_argument_parser().parse_args(as_options))
    expected = vars(get_argument_parser(profiles=[profile()]).parse_args(given))
    for name in ("profile", "workflow_profile", "snakefile", "max_jobs_per_timespan"):
        del found[name], expected[name]
    assert found == expected
    assert found["keep_going"] is True


def test_a_profile_of_the_user_takes_its_place():
    words = snakemake(Path("c.yaml"), "--profile", "slurm")
    assert words[-2:] == ["--profile", str(profile("slurm"))]
    assert "--keep-going" not in words


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], ()),
        (["--config", "epochs=1"], ()),
        (["a/b.h5", "c.csv", "--keep-going"], ("a/b.h5", "c.csv")),
        (["--until", "train"], ("train",)),
        (["--unlock"], None),
        (["--dag"], None),
        (["a/b.h5", "-n"], None),
    ],
)
def test_what_arguments_ask_for(arguments, asked):
    assert targets(arguments) == asked


def test_arguments_that_are_none_of_snakemake():
    with pytest.raises(UserError, match="unrecognized arguments: --bogus"):
        targets(["--bogus"])


def test_a_config_whose_name_begins_as_an_option_does():
    command = snakemake(Path("-rf.yaml"), "--cores", "2")[3:]
    assert get_argument_parser().parse_args(command).configfile == [Path("-rf.yaml")]
