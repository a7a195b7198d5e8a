"""Progress: plain lines where the output is no terminal."""

import io
import sys

from mprd.system import progress as module
from mprd.system.progress import progress


def test_a_log_holds_plain_lines(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(module, "_EVERY", 0.0)
    bar = progress(range(3), desc="epoch 2", unit="step")
    for _ in bar:
        bar.set_postfix_str("loss 0.5", refresh=False)
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    assert lines[0].startswith("epoch 2: 0 of 3, ?step/s, ? left")
    assert lines[-1].startswith("epoch 2: 3 of 3, ")
    assert lines[-1].endswith("00:00 left, loss 0.5")


def test_a_log_is_not_flooded(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    for _ in progress(range(10_000), desc="x", unit="step"):
        pass
    assert len(log.getvalue().splitlines()) <= 2


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    bar = progress(total=5, desc="pixels", unit="image")
    bar.update(5)
    bar.close()
    assert "\r" in screen.getvalue()
    assert "100%" in screen.getvalue()
