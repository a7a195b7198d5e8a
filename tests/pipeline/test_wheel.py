"""An installed package works outside the repository."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's contents in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_workflow_travels_along(installed):
    def files(root: Path) -> dict[str, bytes]:
        paths = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".nbc")
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}

    assert files(installed / "mprd/workflow") == files(ROOT / "workflow")
    templates = [*(ROOT / "mprd").rglob("templates/*")]
    assert len(templates) >= 3
    for path in (*templates, ROOT / "mprd/py.typed", ROOT / "mprd/__init__.pyi"):
        assert (installed / path.relative_to(ROOT)).is_file(), path


def test_mprd_run_plans_a_run(installed, tmp_path, tiny_values):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_values))
    done = subprocess.run(
        [sys.executable, "-m", "mprd.cli", "run", "tiny.yaml", "--dry-run", "--cores", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^train +2$", done.stdout + done.stderr, re.MULTILINE)
    assert re.search(r"^export +1$", done.stdout + done.stderr, re.MULTILINE)
    assert not (tmp_path / "results").exists()


def test_mprd_run_tells_a_wrong_config(installed, tmp_path):
    (tmp_path / "bad.yaml").write_text("cluster: {epss: 0.5}\n")
    done = subprocess.run(
        [sys.executable, "-m", "mprd.cli", "run", "bad.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean `cluster.eps`?" in done.stderr
    assert "Traceback" not in done.stderr
