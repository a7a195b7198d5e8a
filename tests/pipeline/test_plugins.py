"""Pieces by name: the table of mprd, and what plugins add to it."""

import importlib
import os
import subprocess
import sys

import pytest

from mprd.config import Config, validate
from mprd.errors import UserError
from mprd.losses.registry import LOSSES
from mprd.models.backbones.registry import BACKBONES
from mprd.pipeline.code_digest import code_digest, piece_digest
from mprd.pipeline.pieces import PIECES
from mprd.pipeline.registry import check_names, load_plugin, load_plugins
from mprd.pipeline.settings import user_files
from mprd.pipeline.stages import STAGES
from tests.stage_server import python

pytestmark = pytest.mark.usefixtures("no_plugins")
LOSS = """
from mprd.losses.registry import LOSSES

@LOSSES.register("mine")
def mine(batch, settings):
    return {value}
"""
TARGETS = sorted({target for kind in PIECES.values() for target in kind.shipped.values()})


def plugin(folder, text, name="mine.py"):
    (folder / name).write_text(text)
    return folder / name


def config_of(*files, **values):
    return validate({"plugins": [str(file) for file in files], **values}, "x")


@pytest.mark.parametrize("target", TARGETS)
def test_every_line_of_the_table_leads_to_a_piece(target):
    module, _, attribute = target.partition(":")
    assert getattr(importlib.import_module(module), attribute) is not None


@pytest.mark.parametrize("kind", PIECES.values(), ids=PIECES)
def test_every_registry_is_the_one_that_the_table_names(kind):
    module = importlib.import_module(kind.home)
    (registry,) = [value for value in vars(module).values() if getattr(value, "kind", 0) is kind]
    assert registry.names() == sorted(kind.shipped)
    pieces = [registry[name.replace("*", "x")] for name in registry.names()]
    assert all(callable(getattr(piece, "read", piece)) for piece in pieces)


def test_names_and_digests_need_no_room():
    code = (
        "import sys; from mprd.config import Config;"
        "from mprd.pipeline.code_digest import code_digest;"
        "from mprd.pipeline.registry import check_names;"
        "check_names(Config()); code_digest('train', Config());"
        "rooms = ('artifacts', 'config', 'errors', 'pipeline', 'system');"
        "found = {m.split('.')[1] for m in sys.modules if m.startswith('mprd.')} - set(rooms);"
        "print(sorted(found), 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False False"


def test_a_wrong_name_is_told_with_the_nearest():
    with pytest.raises(UserError, match=r"Unknown clustering 'dbscam' \(did you mean 'dbscan'\?\)"):
        check_names(validate({"cluster": {"method": "dbscam"}}, "x"))
    with pytest.raises(UserError, match=r"Unknown backbone 'vgg'. Known: mini, .*, timm/\*"):
        BACKBONES["vgg"]
    check_names(validate({"model": {"backbone": "timm/vgg11"}}, "x"))


def test_a_plugin_adds_a_name(tmp_path):
    config = config_of(plugin(tmp_path, LOSS.format(value=1)), train={"extra_losses": {"mine": 1}})
    with pytest.raises(UserError, match="Unknown loss 'mine'"):
        LOSSES["mine"]
    check_names(config)
    assert LOSSES["mine"](None, None) == 1
    assert "mine" in LOSSES.names()


def test_a_plugin_runs_once_and_again_where_it_changed(tmp_path):
    count = tmp_path / "count"
    text = f"open({str(count)!r}, 'a').write('x')\n" + LOSS
    path = plugin(tmp_path, text.format(value=1))
    for _ in range(2):
        load_plugins(config_of(path))
    assert count.read_text() == "x"
    plugin(tmp_path, text.format(value=2))  # of the same size, in the same second
    load_plugins(config_of(path))
    assert (LOSSES["mine"](None, None), count.read_text()) == (2, "xx")
    plugin(tmp_path, text.replace("mine", "other"))
    load_plugins(config_of(path))
    assert "mine" not in LOSSES.names()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["count", "mine.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"mine.py, which plugins names, registers no piece: put a decorator"),
        ("x = 1\ndef broken(:\n", r"mine.py, line 2: the file fails on import: SyntaxError: inv"),
        ("\n\nimport no_such\n", r"mine.py, line 3: the file fails on import: ModuleNotFoundError"),
        ("def f():\n  1 / 0\nf()\n", r"mine.py, line 2: .* ZeroDivisionError: division by zero"),
        (
            LOSS.replace("mine", "hsd"),
            r"mine.py, line 4: the loss name 'hsd' belongs to mprd already: choose another",
        ),
    ],
)
def test_a_broken_plugin_is_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        check_names(config_of(plugin(tmp_path, text)))
    assert "\n" not in str(caught.value)
    assert LOSSES.names() == sorted(PIECES["train.losses"].shipped)
    assert LOSSES["hsd"].__module__ == "mprd.losses.hsd"


@pytest.mark.parametrize("name", ["missing.py", "piece.txt", "."])
def test_a_plugin_that_is_no_file(tmp_path, name):
    plugin(tmp_path, LOSS, "piece.txt")
    with pytest.raises(UserError, match=r"plugins names .*, which is not there or is no \.py file"):
        check_names(config_of(tmp_path / name))


def test_two_plugins_with_one_name(tmp_path):
    files = [plugin(tmp_path, LOSS.format(value=1), name) for name in ("a.py", "b.py")]
    with pytest.raises(UserError, match=r"b.py, line 4: the loss name 'mine' belongs to .*/a.py"):
        load_plugins(config_of(*files))
    assert "mine" in LOSSES.names(), "that of the first"
    with pytest.raises(UserError, match=r"b.py, line 4"):
        load_plugin(files[1])


def test_a_plugin_can_replace_one_name_of_a_pattern(tmp_path):
    load_plugin(
        plugin(
            tmp_path,
            LOSS.replace("mine", "timm/own")
            .replace("LOSSES", "BACKBONES")
            .replace("losses", "models.backbones")
            .replace("def timm/own", "def f"),
        )
    )
    assert BACKBONES["timm/own"].__name__ == "f"
    assert BACKBONES["timm/other"].__name__ == "timm_backbone"


def test_plugins_are_files_of_the_stages_that_use_pieces(tmp_path):
    path = plugin(tmp_path, LOSS)
    config = config_of(path, tmp_path / "missing.py")
    using = ["init", "features", "draft", "metadata", "pretrain", "judge", "cluster", "train"]
    using += ["learn", "evaluate", "export"]
    assert [one.name for one in STAGES if user_files(config, one.name)] == using
    for stage in using:
        assert user_files(config, stage) == {"plugins.0": path}


def test_what_a_plugin_imports_counts_for_those_that_use_it(tmp_path, monkeypatch):
    text = LOSS.format(value=1) + "from mprd.losses.memories.hybrid import HybridMemory\n"
    path = plugin(tmp_path, text)
    train = {"train": {"extra_losses": {"mine": 1}}}
    unused, used = config_of(path), config_of(path, **train)
    before = {stage: code_digest(stage, used) for stage in ("train", "features", "graph")}
    assert code_digest("train", unused) == code_digest("train", Config()) != before["train"]
    code = "mprd.pipeline.code_digest._code"
    real = importlib.import_module("mprd.pipeline.code_digest")._code
    changed = "mprd.losses.memories.hybrid"
    monkeypatch.setattr(code, lambda m: "changed" if m == changed else real(m))
    assert code_digest("train", used) != before["train"]
    assert code_digest("train", unused) == code_digest("train", Config())
    for stage in ("features", "graph"):
        assert code_digest(stage, used) == before[stage]
    load_plugin(path)
    monkeypatch.undo()
    assert code_digest("train", used) == before["train"], "the same, loaded or not"
    assert piece_digest("evaluate.baselines", "mine", used) != piece_digest(
        "evaluate.baselines", "random", used
    )


def test_a_path_is_resolved_as_others_are(tmp_path, monkeypatch):
    monkeypatch.setenv("MINE", str(tmp_path))
    assert config_of("$MINE/a.py").plugins == (tmp_path / "a.py",)
    with pytest.raises(UserError, match="names an environment variable that is not set"):
        config_of("$NOT_SET/a.py")


def test_the_commands_tell_of_a_broken_plugin(tmp_path):
    plugin(tmp_path, "x = 1\n1 / 0\n")
    (tmp_path / "a.yaml").write_text("plugins: [mine.py]\n")
    (tmp_path / "x.png").touch()
    for command in (
        ["config", "check", "a.yaml"],
        [
            "graph",
            *["--index", "i.h5", "--features", "f.h5", "--out", "g.h5", "--config", "a.yaml"],
        ],
        ["embed", "x.png", "--model", "m.safetensors", "--out", "o.h5", "--plugin", "mine.py"],
    ):
        done = subprocess.run(
            [python(), "-m", "mprd.cli", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        said = "mprd: error: mine.py, line 2: the file fails on import: ZeroDivisionError"
        assert done.stderr.startswith(said)
