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


def test_the_status_of_the_command_is_returned_and_figures_are_looked_at(capfd):
    looks = []
    code = "import sys, time; print('hello'); time.sleep(1.2); sys.exit(3)"
    assert relay([sys.executable, "-c", code], [], lambda: looks.append(1)) == 3
    assert capfd.readouterr().out == "hello\n"
    assert len(looks) >= 3  # at half a second, at one, at the end


def test_on_a_terminal_the_lines_stay(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    looks = []
    code = "print('[bold]hello[/bold]'); raise SystemExit(4)"
    assert relay([sys.executable, "-c", code], [], lambda: looks.append(1)) == 4
    assert "[bold]hello[/bold]\n" in capsys.readouterr().out
    assert looks
