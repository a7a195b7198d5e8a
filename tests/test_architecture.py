"""The rooms of the package: which exist, and in which direction they import each other."""

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mprd.pipeline import code_digest
from mprd.pipeline.code_digest import imports_of, source_file
from mprd.pipeline.stage import Setting
from mprd.pipeline.stages import STAGES

PACKAGE = Path(__file__).parents[1] / "mprd"
# From the ground up; a room imports from its own floor and those below it.
FLOORS = [
    {"errors"},
    {"artifacts", "config", "system"},
    {"pipeline"},
    {
        "browsing",
        "clustering",
        "data",
        "decisions",
        "evidence",
        "exchange",
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
TABLE = "mprd.pipeline.stages"
RULES = PACKAGE.parent / "workflow/rules"
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


def test_imports_are_seen(tmp_path, monkeypatch):
    """The check can fail: it sees what is imported at the top, inside functions, for types."""
    assert "mprd.artifacts" in IMPORTS["mprd.stages.train"]
    assert "mprd.stages.table" in IMPORTS["mprd.cli.tools"], "inside a function"
    module = tmp_path / "module.py"
    module.write_text("if TYPE_CHECKING:\n    from mprd.models.network import ReidNetwork\n")
    monkeypatch.setattr(code_digest, "source_file", lambda name: module)
    assert "mprd.models.network" in imports_of("mprd.any"), "under TYPE_CHECKING"
    assert circle({"a": {"b"}, "b": {"a"}}) != []


def test_no_loose_module():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py"}
    assert {room(module) for module in IMPORTS} == set(FLOOR)
    # Caches of libraries are given a place before any library asks for one.
    assert imports_of("mprd") == ["mprd.system.caches", "mprd.system.caches.provide_caches"]


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
    long.pop(TABLE)  # data, one entry a stage
    assert {module: lines for module, lines in long.items() if lines > 300} == {}


# From the lightest to the heaviest: one process imports them in this order, and looks after each.
LIGHT = {
    "mprd": ["numpy", "pydantic"],
    "mprd.cli": ["torch", "numpy"],
    "mprd.pipeline.stages": ["torch", "h5py", "numpy"],
    "mprd.pipeline.plan, mprd.stages.run_stage": ["torch", "pandas"],
    "mprd.stages.transitions": ["torch", "sklearn", "pandas"],
    "mprd.stages.cluster": ["torch", "numba", "pandas"],
    "mprd.graph, mprd.clustering": ["torch"],
    "mprd.stages.train": ["torch_geometric", "torchvision", "mprd.gcn"],
    "mprd.gcn.learning": ["torch_geometric"],
}


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """Modules -> those that should be absent, and are not."""
    lines = ["import json, sys", "found = {}"]
    for modules, absent in LIGHT.items():
        lines += [f"import {modules}"]
        lines += [f"found[{modules!r}] = [m for m in {absent} if m in sys.modules]"]
    code = "\n".join([*lines, "print(json.dumps(found))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("modules", LIGHT)
def test_light_imports(modules, imported):
    assert imported[modules] == []


def test_run_paths_are_stated_once():
    spelled = ("epochs/", "init/model", "pretrained.safetensors")
    sources = [*PACKAGE.rglob("*.py"), *RULES.glob("*.smk")]
    found = {p.name for p in sources for word in spelled if word in p.read_text()}
    assert found == {"layout.py"}


NAMES = {one.name for one in STAGES}
ROLES = {read.role for one in STAGES for read in one.reads}
ROLES |= {write.role for one in STAGES for write in one.writes}
KEYS = {
    key
    for one in STAGES
    for entry in one.settings
    for key in (entry.keys if isinstance(entry, Setting) else (entry,))
}


def rules(text: str) -> dict[str, list[str]]:
    """The lines of each rule, without those that are blank or a comment."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"^(?=\S)", text, flags=re.M):
        if match := re.match(r"(?:rule|use rule \w+ as) (\w+)(?: with)?:\n", block):
            lines = [line.strip() for line in block.splitlines()]
            found[match[1]] = [line for line in lines if line and not line.startswith("#")]
    return found


def test_each_stage_has_one_short_rule():
    found = rules((RULES / "stages.smk").read_text())
    others = [path.read_text() for path in RULES.glob("*.smk") if path.name != "stages.smk"]
    beside = {name for text in others for name in re.findall(r"^ *rule (\w+):", text, re.M)}
    # The base, and training with more outputs; images and pages have rules with more to say.
    assert set(found) - NAMES == {"stage", "train_gcn", "export_given"}
    assert NAMES - set(found) == {"synthesize", "table", "report"} <= beside
    assert {name: len(body) for name, (_, *body) in found.items() if len(body) > 9} == {}
    for name in NAMES & set(found):
        text = "\n".join(found[name])
        assert f'unpack(reads("{name}"))' in text
        assert f'**writes("{name}"' in text
        assert {"log:", "benchmark:"} < set(found[name])


def test_rules_take_facts_from_the_table():
    for path in RULES.glob("*.smk"):
        quoted = re.findall(r'"([\w.]+)"', path.read_text())
        assert not {word for word in quoted if "." in word} & KEYS, path
        # A wildcard and a folder of logs are called as roles.
        assert not set(quoted) & (ROLES - NAMES - {"evaluation", "gcn"}), path
        for line in path.read_text().splitlines():
            assert len(set(re.findall(r'"(\w+)"', line)) & NAMES) < 2, line


def listed(module: str) -> list[set[str]]:
    """The words of each literal list of words, keys of dictionaries too."""
    nodes = ast.walk(ast.parse(source_file(module).read_text()))
    lists = [n.elts for n in nodes if isinstance(n, ast.Tuple | ast.List | ast.Set)]
    nodes = ast.walk(ast.parse(source_file(module).read_text()))
    lists += [n.keys for n in nodes if isinstance(n, ast.Dict)]
    return [{n.value for n in words if isinstance(n, ast.Constant)} for words in lists]


# Beside the table: `pieces` says which settings name registered pieces, `memory` names its
# functions as some stages, and `needs` knows how fast the stages are.
BESIDE = (TABLE, "mprd.pipeline.pieces", "mprd.pipeline.memory", "mprd.stages.needs")


@pytest.mark.parametrize("module", [module for module in MODULES if module not in BESIDE])
def test_facts_about_stages_stand_in_the_table(module):
    lists = listed(module)
    assert [words & KEYS for words in lists if len({w for w in words & KEYS if "." in w}) > 1] == []
    assert [words & NAMES for words in lists if len(words & NAMES) > 2] == []
    if module.startswith("mprd.pipeline."):
        assert [words & ROLES for words in lists if len(words & ROLES) > 2] == []
