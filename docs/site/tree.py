"""A hook of MkDocs: the site's tree is the repository's, so that relative links hold in both.

Notebooks become pages as they were executed last; nothing is executed here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

_ROOT = Path(__file__).parents[2]
_FILES = (
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CITATION.cff",
    "LICENSE",
    "benchmarks/RESULTS.md",
    "config/*.md",
    "config/*.yaml",
    "docs/*.md",
    "docs/howto/*.md",
    "docs/explanation/*.md",
    "docs/images/*",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of `docs/` by those of the repository, under their paths there."""
    for file in list(files):
        if file.src_dir == config.docs_dir:  # not the theme's own
            files.remove(file)
    for pattern in _FILES:
        for path in sorted(_ROOT.glob(pattern)):
            files.append(File.generated(config, _name(path), abs_src_path=str(path)))
    for path in sorted(_ROOT.glob("docs/*.ipynb")):
        for file in _notebook(path, config):
            files.append(file)
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to notebooks lead to their pages."""
    return re.sub(r"(\]\(\S+)\.ipynb\)", r"\1.md)", markdown)


def _notebook(path: Path, config: MkDocsConfig) -> Iterator[File]:
    """Yield the page of a notebook and the pictures in it."""
    pictures = f"{path.stem}_files"
    text, resources = MarkdownExporter().from_filename(
        str(path), resources={"output_files_dir": pictures, "unique_key": path.stem}
    )
    yield File.generated(config, _name(path.with_suffix(".md")), content=text)
    for name, content in resources["outputs"].items():
        yield File.generated(config, f"docs/{name}", content=content)


def _name(path: Path) -> str:
    return path.relative_to(_ROOT).as_posix()
