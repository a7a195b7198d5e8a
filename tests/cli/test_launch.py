"""What a user is told of a group of processes, by how each of them ended."""

from types import SimpleNamespace

import pytest

from mprd.cli.launch import _explained

NONE = "<NONE>"  # torchrun's word for no word


def explained(folder, codes, words=NONE):
    failures = {
        rank: SimpleNamespace(exitcode=code, error_file_data={"message": words})
        for rank, code in codes.items()
    }
    return _explained(SimpleNamespace(failures=failures), folder, 3)


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        ({0: 75, 1: -9}, "Process 2 of 3 was killed (SIGKILL)"),
        ({0: -15, 2: -11}, "Process 3 of 3 was killed (SIGSEGV)"),
        ({0: 75, 1: 143}, "A process of 3 was killed (SIGTERM)"),
        ({0: 75, 1: -15}, "A process of 3 was killed (SIGTERM)"),
        ({0: 130, 1: 143}, "Process 1 of 3 was killed (SIGINT)"),
        ({1: 75}, "A process of 3 was lost"),
    ],
)
def test_the_first_to_fail_is_named(tmp_path, codes, sentence):
    said = str(explained(tmp_path, codes))
    assert said.startswith(f"{sentence}; the others were stopped, nothing is half-written.")


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
