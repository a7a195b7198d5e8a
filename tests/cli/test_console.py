"""What `mprd run` shows below the lines of the stages."""

import os
import sys

from mprd.cli.console import last_line, relay


def test_the_newest_log_is_shown(tmp_path):
    assert last_line([tmp_path]) == ""
    for number, name in enumerate(("index", "epochs/003/train")):
        path = tmp_path / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first\nstep {number}\n")
        os.utime(path, (number, number))
    assert last_line([tmp_path]) == "epochs/003/train: step 1"
    (tmp_path / "empty.log").touch()
    assert last_line([tmp_path]) == "empty"


def test_the_status_of_the_command_is_returned(capfd):
    code = "import sys; print('hello'); sys.exit(3)"
    assert relay([sys.executable, "-c", code], []) == 3
    assert capfd.readouterr().out == "hello\n"
