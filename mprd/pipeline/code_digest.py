"""A digest of the code of a stage: Snakemake does not see edits of an imported package."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from mprd.config import Config
from mprd.pipeline.pieces import PIECES, chosen_names
from mprd.pipeline.registry import plugin_files
from mprd.pipeline.stages import stage

_PACKAGE = Path(__file__).parents[1]
# Settings are tracked by value; messages, estimates and the command line do not change results.
_NOT_TRACKED = ("mprd.config", "mprd.errors", "mprd.system.ram", "mprd.pipeline", "mprd.cli")


def code_digest(name: str, config: Config) -> str:
    """Return a digest of the modules of mprd that a stage imports, directly or not.

    Comments, docstrings and layout do not count; the templates of a package do. Of the pieces that
    a registry holds, only those count that the config names and uses. Baselines do not: each is a
    job of its own, with a `piece_digest`. Of a plugin the modules that it imports count here; the
    plugin itself is an input file of the stage.

    Args:
        name: of the stage.
        config: of the run.
    """
    modules, targets = set(imported_modules(stage(name).module)), set()
    waiting = set(PIECES) - {"evaluate.baselines"} - (set() if config.use_gcn else {"gcn.network"})
    # A piece may import the home of another kind.
    while reached := {key for key in waiting if PIECES[key].home in modules}:
        waiting -= reached
        for key in reached:
            for piece in chosen_names(config, key):
                targets.add(f"{key} {PIECES[key].target(piece)}")
                modules |= piece_modules(key, piece, config)
    return _digest(modules, targets)


def piece_digest(key: str, name: str, config: Config) -> str:
    """Return a digest of the modules of mprd that a piece needs.

    Args:
        key: the setting that names such pieces.
        name: of the piece.
        config: of the run.
    """
    return _digest(piece_modules(key, name, config), {str(PIECES[key].target(name))})


def piece_modules(key: str, name: str, config: Config) -> set[str]:
    """Return the modules of mprd that a piece needs; arguments as `piece_digest`.

    A piece that mprd does not have is one of the user's files; all of them count.
    """
    if target := PIECES[key].target(name):
        return {*imported_modules(target.partition(":")[0])}
    files = [*plugin_files(config), *filter(None, [config.data.reader])]
    imported = [module for path in files if path.is_file() for module in _imports(_tree(path))]
    return {module for start in imported for module in imported_modules(start)}


def _digest(modules: Iterable[str], targets: Iterable[str]) -> str:
    sha = hashlib.sha256("\n".join(sorted(targets)).encode())
    for name in sorted(modules):
        sha.update(f"{name}\n{_code(name)}\n".encode())
    return sha.hexdigest()[:16]


@cache
def imported_modules(module: str) -> frozenset[str]:
    """Return `module` and all tracked modules and packages of mprd reachable by its imports."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        ignored = any(name == skip or name.startswith(f"{skip}.") for skip in _NOT_TRACKED)
        if name in found or ignored or not source_file(name).is_file():
            continue
        found.add(name)
        waiting.append(name.rpartition(".")[0])
        waiting += imports_of(name)
    return frozenset(found - {"mprd"})


def imports_of(module: str) -> list[str]:
    """Return what a module of mprd imports from mprd, anywhere in its file, as written.

    `from mprd.a import b` counts as `mprd.a` and `mprd.a.b`, which may be a module or a name.
    """
    return _parsed(module)[0]


def _code(module: str) -> str:
    """Return a digest of a module's code, and of its templates if it is a package."""
    return _parsed(module)[1]


@cache
def _parsed(module: str) -> tuple[list[str], str]:
    """Return `imports_of` a module and its `_code`: parsing takes longer than all the rest."""
    source = source_file(module)
    tree = _tree(source)
    imports = _imports(tree)
    text = _without_docstrings(tree) + _templates(source)
    return imports, hashlib.sha256(text.encode()).hexdigest()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mprd":
            names += [str(node.module), *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names if a.name.split(".")[0] == "mprd"]
    return names


def source_file(module: str) -> Path:
    """Return the file of a module of mprd; it need not exist."""
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _without_docstrings(tree: ast.Module) -> str:
    """Return the code of a module; its docstrings are removed from the tree."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return ast.dump(tree)


def _templates(source: Path) -> str:
    """Return the text of the templates of a package; of another module nothing."""
    if source.name != "__init__.py":
        return ""
    return "".join(p.read_text(encoding="utf-8") for p in sorted(source.parent.glob("templates/*")))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
