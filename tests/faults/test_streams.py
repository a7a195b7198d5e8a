"""Standard streams that are closed, full or left by their reader: every command ends alike."""

import subprocess
import sys

import pytest

ENDS = {  # command, redirection -> exit code of the command
    "the reader of help goes": ("--help", "| true", 141),
    "the reader of what rich prints goes": ("inspect INDEX", "| true", 141),
    "the reader of a mistake goes": ("inspect nowhere.h5", "2>&1 | true", 2),
    "the reader of a wrong command goes": ("nowhere", "2>&1 | true", 141),
    "full output": ("--version", ">/dev/full", 2),
    "full errors": ("inspect nowhere.h5", "2>/dev/full", 2),
    "no output": ("inspect INDEX", ">&-", 0),
    "no errors": ("inspect nowhere.h5", "2>&-", 2),
    "no stream": ("inspect INDEX", "<&- >&- 2>&-", 0),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_stream_that_is_not_there(judged_run, tmp_path, case):
    words, stream, code = ENDS[case]
    words = words.replace("INDEX", str(judged_run.index))
    line = f"{sys.executable} -m mprd.cli {words} {stream}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stdout + done.stderr
    assert "Broken pipe" not in done.stderr


def test_what_is_printed_goes_into_no_file_of_ours(tmp_path):
    """A closed stream is opened again: else the next file would take its number."""
    code = """
import os, sys
from mprd.cli.streams import provide_streams
provide_streams()
with open("mine", "w") as file:
    assert file.fileno() > 2
    os.write(1, b"of a library")
    os.write(2, b"of a library")
    print("of ours", sys.stdin.read())
"""
    line = f"{sys.executable} -c '{code}' <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "mine").read_bytes() == b""
