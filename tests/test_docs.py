"""The pages hold together: links, commands and files that they name are there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from typer.main import get_command

from mprd.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "config/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


def test_every_page_is_reachable_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page))
            waiting += [target for target in targets if target.suffix == ".md"]
    assert set(PAGES) <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_there(page):
    """`mprd x ...` in a shell block or in backticks names a command of ours."""
    known = set(get_command(app).commands)
    text = page.read_text()
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S))
    spelled = re.findall(r"^\s*mprd ([a-z-]+)", shell, re.M)
    spelled += re.findall(r"`mprd ([a-z-]+)", text)
    assert {name for name in spelled if not name.startswith("-")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configs_are_there(page):
    for name in re.findall(r"config/([a-z0-9_]+\.yaml)", page.read_text()):
        assert (ROOT / "config" / name).is_file(), f"{page}: {name}"


def test_pages_that_code_and_configs_name_are_there():
    folders = ("mprd", "workflow", "config", "benchmarks", "tests")
    kinds = (".py", ".smk", ".yaml", ".rst", ".json")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in [*(path for path in files if path.suffix in kinds), ROOT / "Makefile"]:
        for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|ipynb)\b", path.read_text()):
            assert (ROOT / name).is_file(), f"{path}: {name}"


def build_site(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(config)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [*command, "--site-dir", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_builds_with_every_page(tmp_path):
    done = build_site(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = [page for page in PAGES if page.name != "README.md"]
    for page in [*pages, ROOT / "docs/tour.ipynb"]:
        assert (tmp_path / "site" / page.relative_to(ROOT).with_suffix(".html")).is_file()
    assert list((tmp_path / "site/docs/tour_files").glob("*.jpg"))


def test_the_site_does_not_build_with_a_broken_link(tmp_path):
    copy = tmp_path / "copy"
    for name in ("docs", "config", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name)
    for name in (
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "CITATION.cff",
        "LICENSE",
        "mkdocs.yml",
    ):
        shutil.copy(ROOT / name, copy / name)
    (copy / "docs/explanation/scale.md").write_text("[gone](gone.md)\n")
    done = build_site(tmp_path / "site", copy / "mkdocs.yml")
    assert done.returncode == 1
    assert "gone.md" in done.stderr


def test_the_tour_was_executed_and_runs_today(judged_run, tmp_path):
    path = ROOT / "docs/tour.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    (tmp_path / "results").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "results/demo").symlink_to(judged_run.folder)
    where = {"metadata": {"path": str(tmp_path / "docs")}}
    NotebookClient(notebook, timeout=300, resources=where).execute()
    last = code[-1].outputs[-1]["data"]["text/plain"]
    assert "as it was" in last
    assert "temperature 0.2" in last
