"""The pages hold together: links, commands and files that they name are there."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from mprd.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
