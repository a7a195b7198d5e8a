"""What `mprd run` makes of Snakemake's own arguments."""

import pytest
from snakemake.cli import parse_config

from mprd.errors import UserError
from mprd.pipeline.workflow import overrides


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
