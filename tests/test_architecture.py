"""The rooms of the package: which exist, and in which direction they import each other."""

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mprd.pipeline.code_digest import imports_of, source_file

PACKAGE = Path(__file__).parents[1] / "mprd"
# From the ground up; a room imports from its own floor and those below it.
FLOORS = [
    {"errors"},
    {"artifacts", "config", "system"},
    {"pipeline"},
    {
        "clustering",
        "data",
        "gcn",
        "graph",
        "inference",
        "judging",
        "losses",
        "models",
        "pairs",
        "report",
        "retrieval",
        "starter",
        "training",
    },
    {"stages"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(module_name(path) for path in PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1]


def arrows(module: str) -> set[str]:
    """Modules that a module imports, under TYPE_CHECKING and inside functions too."""
    return {name for name in imports_of(module) if name in MODULES and name != "mprd"} - {module}


IMPORTS = {module: arrows(module) for module in MODULES if module != "mprd"}


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_imports_are_seen():
    """The check can fail: it sees what is imported at the top, inside functions, for types."""
    assert "mprd.artifacts" in IMPORTS["mprd.stages.train"]
    assert "mprd.stages.train" in IMPORTS["mprd.cli.cnn"], "inside a function"
    assert "mprd.models.network" in IMPORTS["mprd.stages.memory_checks"], "under TYPE_CHECKING"
    assert circle({"a": {"b"}, "b": {"a"}}) != []


def test_no_loose_module():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py"}
    assert {room(module) for module in IMPORTS} == set(FLOOR)
    assert imports_of("mprd") == []


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_no_arrow_runs_up(module):
    for other in IMPORTS[module]:
        assert FLOOR[room(other)] <= FLOOR[room(module)], f"{module} imports {other}"


def test_no_circle_of_modules():
    # A package's own file takes names from its modules; that a module lies in it is no import.
    assert circle(IMPORTS) == []


def test_no_circle_of_rooms():
    rooms: dict[str, set[str]] = {}
    for module, others in IMPORTS.items():
        rooms.setdefault(room(module), set()).update(room(other) for other in others)
    assert circle({name: others - {name} for name, others in rooms.items()}) == []


def test_files_are_short():
    long = {m: len(source_file(m).read_text().splitlines()) for m in MODULES}
    assert {module: lines for module, lines in long.items() if lines > 300} == {}


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("mprd.graph, mprd.clustering", ["torch"]),
        ("mprd.stages.cluster", ["torch", "numba", "pandas"]),
        ("mprd.cli", ["torch", "numpy"]),
        ("mprd", ["numpy", "pydantic"]),
        ("mprd.stages.train", ["torch_geometric", "torchvision", "mprd.gcn"]),
        ("mprd.gcn.learning", ["torch_geometric"]),
    ],
)
def test_light_imports(modules, absent):
    code = f"import sys, {modules}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_run_paths_are_stated_once():
    spelled = ("epochs/", "init/model", "pretrained.safetensors")
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("workflow/rules/*.smk")]
    found = {p.name for p in sources for word in spelled if word in p.read_text()}
    assert found == {"layout.py"}
