"""pip and conda users get the same libraries."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch", "pytorch_geometric": "torch-geometric"}


def split(requirement: str) -> tuple[str, str]:
    name, bound = re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", requirement).groups()
    return CONDA_NAMES.get(name, name), bound


def test_environment_and_pyproject_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    # What conda-forge lacks comes by pip.
    by_pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    conda = [entry for entry in conda if isinstance(entry, str) and entry != "pip"] + by_pip
    wanted = dict(split(r) for r in project["dependencies"])
    wanted["python"] = project["requires-python"]
    assert dict(split(r) for r in conda) == wanted


def test_the_gpu_variants_have_the_same_bounds():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    named = dict(split(line.removeprefix("#   - ")) for line in lines if line.startswith("#   - "))
    plain = dict(split(line.strip(" -")) for line in lines if line.startswith("  - "))
    assert named == {"faiss-gpu": plain["faiss-cpu"], "pytorch-gpu": plain["torch"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [split(r)[0] for r in project["optional-dependencies"]["gpu"]] == ["faiss-gpu"]


def test_every_import_is_a_dependency():
    """No module is used that only happens to be installed with another."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {"faiss-cpu": "faiss", "pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
    modules |= {"torch-geometric": "torch_geometric", "lazy-loader": "lazy_loader"}
    modules["graspologic-native"] = "graspologic_native"
    names = {split(r)[0] for r in project["dependencies"]}
    names |= {split(r)[0] for r in project["optional-dependencies"]["onnx"]}
    allowed = {modules.get(name, name) for name in names}
    allowed |= set(__import__("sys").stdlib_module_names) | {"mprd", "pydantic_core"}
    allowed.add("triton")  # used where torch came with it
    for path in (ROOT / "mprd").rglob("*.py"):
        for line in path.read_text().splitlines():
            match = re.match(r"\s*(?:from|import) ([a-zA-Z_0-9]+)", line)
            if match and re.match(r"\s*(from \S+ import|import \S+( as \w+)?$)", line):
                assert match.group(1) in allowed, f"{path}: {line.strip()}"


def test_no_major_version_is_taken_untried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    users = [*project["dependencies"], *extras["onnx"], *extras["gpu"], *extras["slurm"]]
    exact = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().lower().splitlines()
        if "==" in line
    )
    for requirement in [*users, *extras["tracking"]]:
        name, bound = split(requirement.partition(";")[0])
        least, most = re.fullmatch(r">=([\d.]+),<(\d+)", bound).groups()
        assert int(least.partition(".")[0]) < int(most)
        tried = exact.get(name.lower().replace("_", "-"), exact.get(name.lower()))
        if tried is not None:
            assert int(tried.partition(".")[0]) < int(most), f"{name} {tried} is what we test with"


def test_actions_are_pinned_and_may_only_read():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        used = re.findall(r"uses: (\S+)", text)
        assert used
        assert all(re.search(r"@[0-9a-f]{40}$", action) for action in used), used
