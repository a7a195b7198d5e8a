"""What a stage depends on beside its input files: its settings and its code."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from mprd.artifacts import Artifact
from mprd.config import Config
from mprd.errors import UserError

_PACKAGE = Path(__file__).parent
# Settings are tracked by value; messages, estimates and the command line do not change results.
_NOT_TRACKED = {"mprd.config", "mprd.errors", "mprd.memory", "mprd.provenance", "mprd.cli"}

STAGES = (
    "synthesize",
    "index",
    "pixels",
    "init",
    "features",
    "graph",
    "cluster",
    "metadata",
    "pretrain",
    "train",
    "evaluate",
    "export",
    "table",
)


def stage_settings(config: Config, stage: str) -> dict[str, Any]:
    """Return just the settings that a stage reads, JSON-ready.

    They are stored with its artifacts and decide when the workflow runs it again.
    """
    values = json.loads(config.model_dump_json())
    data, init = values["data"], values["init"]
    synthetic = data.pop("synthetic")
    match stage:
        case "synthesize":
            return {"synthetic": synthetic}
        case "index":
            return _pick(data, "dataset", "root", "reader", "on_bad_image")
        case "pixels":
            return _pick(data, "height", "width")
        case "init":
            warmup = init.pop("warmup")
            settings = {"model": values["model"], "init": init, "seed": values["seed"]}
            if init["method"] == "warmup":
                settings |= {"warmup": warmup, "augment": values["augment"]}
            return settings
        case "graph":
            return _graph_settings(values["graph"])
        case "cluster":
            return values["cluster"]
        case "metadata":
            return _pick(values["gcn"], "metadata") | _pick(values, "augment", "seed")
        case "pretrain":
            return _gcn_settings(values, "pretrain") | _pick(values, "seed", "augment")
        case "train":
            settings = _pick(values, "train", "augment", "seed", "use_gcn")
            if values["use_gcn"]:
                learning = _gcn_settings(values, "learn", "update")
                settings |= learning if values["gcn"]["learn"] else {"gcn": {"learn": False}}
            return settings
        case "evaluate":
            return _pick(values["evaluate"], "flip", "rerank") | _pick(values, "model", "seed")
        case "export":
            return _graph_settings(values["graph"]) | values["cluster"]
        case "features" | "table":
            return {}
    raise ValueError(f"unknown stage {stage!r}")


def synthetic_folder(config: Config) -> Path:
    """Return the folder of the synthetic images of these settings, below `data.root`."""
    text = json.dumps(stage_settings(config, "synthesize"), sort_keys=True)
    return config.data.root / f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def data_location(config: Config) -> Path:
    """Return where the images of a run lie."""
    if config.data.dataset == "synthetic":
        return synthetic_folder(config)
    return config.data.root


@cache
def code_digest(stage: str) -> str:
    """Return a digest of the modules of mprd that a stage imports, directly or not.

    Comments, docstrings and layout do not count. Snakemake does not see edits of an imported
    package, so the rules carry this digest in their parameters.
    """
    sha = hashlib.sha256()
    for name in sorted(_imported(f"mprd.stages.{stage}")):
        sha.update(f"{name}\n{_code(_source(name))}\n".encode())
    return sha.hexdigest()[:16]


def require_parent(child: Artifact, name: str, parent: str, parent_path: Path) -> None:
    """Check that an artifact was made from a given other one.

    Args:
        child: the artifact.
        name: role of the parent in `child.inputs`.
        parent: digest of the parent at hand.
        parent_path: its path, for the message.

    Raises:
        UserError: it was made from another (stale, or of another run or data set).
    """
    recorded = child.inputs.get(name)
    if recorded != parent:
        raise UserError(
            f"{child.path} was made from another {name} than {parent_path}: it is stale or "
            f"belongs to another run. Make it again with `mprd {child.schema.command}`."
        )


def _gcn_settings(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return what decides how the relation GCN learns; its widths come with its weights."""
    shape = ("node_features", "hidden", "sort_k", "conv", "mlp", "dropout")
    chosen: tuple[str, ...] = (
        "neighbors",
        "unlabelled",
        "batch",
        "inner_steps",
        "inner_rate",
        "outer_rate",
    )
    if "pretrain" in keys:
        chosen = (*shape, *chosen)
    return {"gcn": _pick(values["gcn"], *chosen, *keys), "cluster": values["cluster"]}


def _graph_settings(graph: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the graph: not the memory of the search, nor settings of another."""
    ignored = (
        {"search_memory_mb"} if graph["backend"] == "ivf" else {"search_memory_mb", "min_recall"}
    )
    return {key: value for key, value in graph.items() if key not in ignored}


def _pick(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys}


def _source(module: str) -> Path:
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(module: str) -> set[str]:
    """Return `module` and all tracked modules of mprd reachable by its imports."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        ignored = any(name == skip or name.startswith(f"{skip}.") for skip in _NOT_TRACKED)
        if name in found or ignored or not _source(name).is_file():
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_source(name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mprd"):
                waiting += [str(node.module), *(f"{node.module}.{a.name}" for a in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [a.name for a in node.names if a.name.startswith("mprd.")]
    return found


def _code(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
