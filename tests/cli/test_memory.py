"""Too little memory while a command runs is a sentence; that of a stage names its settings."""

import pytest

from mprd import cli as mprd_cli
from mprd.pipeline.stage import Stage


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 9 GiB\nmore"), "memory is too small (Unable to allocate"),
        (MemoryError(), "memory is too small (no details)"),
        (OutOfMemoryError("CUDA out of memory."), "the memory of the GPU is too small (CUDA out"),
    ],
)
def test_out_of_memory_is_a_sentence(monkeypatch, capsys, error, said):
    def fail():
        raise error

    monkeypatch.setattr(mprd_cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        mprd_cli.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert said in message
    assert "--device cpu" in message
    assert "\nmore" not in message


def test_a_stage_names_its_own_settings(cli, monkeypatch, tmp_path):
    def fail(self):
        def run(**given):
            raise OutOfMemoryError("CUDA out of memory.")

        return run

    monkeypatch.setattr(Stage, "function", fail)
    files = ("--index", tmp_path / "i.h5", "--features", tmp_path / "f.h5")
    files += ("--out", tmp_path / "g.h5")
    code, _, said = cli("graph", *files)
    assert code == 2
    assert said.startswith("mprd: error: graph: the memory of the GPU is too small")
    assert "graph.search_memory_mb" in said
    assert "train.identities" not in said


def test_other_errors_are_not_hidden(monkeypatch):
    def fail():
        raise RuntimeError("a defect")

    monkeypatch.setattr(mprd_cli, "app", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        mprd_cli.main()
