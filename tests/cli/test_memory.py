"""Too little memory while a command runs is a sentence with the settings that need less."""

import pytest

from mprd import cli


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

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert said in message
    assert "train.identities x train.instances" in message
    assert "\nmore" not in message


def test_other_errors_are_not_hidden(monkeypatch):
    def fail():
        raise RuntimeError("a defect")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main()
