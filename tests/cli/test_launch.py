"""What a user is told of a group of processes, by how each of them ended."""

import logging
from types import SimpleNamespace

import pytest
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, start_processes

from mprd.cli.launch import AskedToEnd, _explained

NONE = "<NONE>"  # torchrun's word for no word


def explained(folder, codes, words=NONE, asked=()):
    failures = {
        rank: SimpleNamespace(exitcode=code, error_file_data={"message": words}, pid=100 + rank)
        for rank, code in codes.items()
    }
    return _explained(SimpleNamespace(failures=failures), folder, 3, {100 + rank for rank in asked})


@pytest.mark.parametrize(
    ("codes", "asked", "sentence"),
    [
        ({0: 75, 1: -9}, (), "Process 2 of 3 was killed (SIGKILL)"),
        ({0: -15, 2: -11}, (0,), "Process 3 of 3 was killed (SIGSEGV)"),
        ({0: 75, 1: 143}, (), "Process 2 of 3 was killed (SIGTERM)"),
        ({0: 75, 1: -15, 2: 143}, (2,), "Process 2 of 3 was killed (SIGTERM)"),
        ({0: -6, 1: 143}, (), "Process 2 of 3 was killed (SIGTERM)"),
        ({0: -6, 1: 143, 2: 75}, (1,), "Process 1 of 3 was killed (SIGABRT)"),
        ({0: 130, 1: 143}, (1,), "Process 1 of 3 was killed (SIGINT)"),
        ({1: 75}, (), "A process of 3 was lost"),
        ({0: 143, 1: 75}, (0,), "A process of 3 was lost"),
    ],
)
def test_the_first_to_fail_is_named(tmp_path, codes, asked, sentence):
    said = str(explained(tmp_path, codes, asked=asked))
    assert said.startswith(f"{sentence}; the others were stopped, nothing is half-written.")


def test_whom_torchrun_asks_to_end_is_heard(tmp_path):
    """In words of torchrun's own."""
    torchrun = logging.getLogger("torch.distributed.elastic")
    asked = AskedToEnd()
    torchrun.addHandler(asked)
    try:
        group = start_processes(
            name="group",
            entrypoint="sh",
            args={0: ("-c", "exit 3"), 1: ("-c", "exec sleep 100")},
            envs={0: {}, 1: {}},
            logs_specs=DefaultLogsSpecs(log_dir=str(tmp_path)),
        )
        failures = group.wait().failures
    finally:
        torchrun.removeHandler(asked)
    assert {rank: failure.exitcode for rank, failure in failures.items()} == {0: 3, 1: -15}
    assert asked.pids == {failures[1].pid}


def test_a_mistake_is_what_is_said(tmp_path):
    assert str(explained(tmp_path, {0: 2, 1: -15}, "No such file.")) == "No such file."


def test_what_the_first_has_printed_is_not_repeated(tmp_path):
    ending = explained(tmp_path, {0: 2})
    assert isinstance(ending, SystemExit)
    assert ending.code == 2


@pytest.mark.parametrize(
    ("log", "words"), [("a\nmprd: error: b\n", "b"), ("", "Above is what it said.")]
)
def test_a_defect_is_told_by_its_last_line(tmp_path, log, words):
    (tmp_path / "1").mkdir()
    if log:
        (tmp_path / "1" / "stderr.log").write_text(log)
    assert str(explained(tmp_path, {0: 75, 1: 1})).endswith(f"others were stopped. {words}")
