"""Mutation testing of the kernels: does a test fail where the code is made wrong?

`python -m tests.faults.mutation [--count 30] [--seed 0] [--only graph]` (`make test-mutation`).
cosmic-ray knows the mutations (an operator replaced, a comparison turned, a number moved, a branch
never taken ...); a seeded sample of those of each part is put, one by one, into a copy of the
repository, and the tests of that part are run until one fails. A mutant that no test notices is
printed with its line, to be judged by a person: some change nothing that anybody could see.
"""

import argparse
import ast
import contextlib
import difflib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).parents[2]
# Name -> files or folders of mprd/, and the tests that belong to them.
PARTS = {
    "graph": (["graph"], ["tests/graph"]),
    "losses": (["losses"], ["tests/losses", "tests/training"]),
    "gcn": (["gcn"], ["tests/gcn", "tests/stages/test_judged.py"]),
    "retrieval": (["retrieval"], ["tests/retrieval"]),
    "evidence": (["evidence"], ["tests/evidence"]),
    "linkage": (
        ["clustering/linkage.py"],
        ["tests/clustering/test_linkage.py", "tests/clustering/test_cuts.py"],
    ),
    "audit": (
        ["clustering/audit_estimate.py", "clustering/comparison_estimate.py"],
        ["tests/clustering/test_audit.py", "tests/clustering/test_comparison.py"],
    ),
}
PATIENCE = 5  # times as long as the code as it is: then a mutant hangs, which is noticed, too
# Those about the names of variables want to be told which.
OPERATORS = sorted(name for name in plugins.operator_names() if "variable" not in name.lower())
MOST = 400  # occurrences of one mutation in a file that are looked for


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: Path
    operator: str
    occurrence: int
    text: str

    def line(self) -> str:
        """Return what it changes, before and after."""
        before = (ROOT / self.file).read_text().splitlines()
        lines = difflib.unified_diff(before, self.text.splitlines(), n=0, lineterm="")
        return " -> ".join(line[1:].strip() for line in list(lines)[3:])


def sources(places: list[str]) -> list[Path]:
    """Return the Python files among some files and folders of mprd/."""
    found = [ROOT / "mprd" / place for place in places]
    return sorted(
        file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path])
    )


def mutants(places: list[str]) -> Iterator[Mutant]:
    """Yield all mutants of files and folders of mprd/ but those of annotations and docstrings."""
    for path in sources(places):
        code = path.read_text()
        meaning = ast.dump(without_types(code))
        for name in OPERATORS:
            operator = plugins.get_operator(name)()
            for occurrence in range(MOST):
                text = mutate_code(code, operator, occurrence)
                if text is None:
                    break
                try:
                    changed = ast.dump(without_types(text)) != meaning
                except SyntaxError:
                    continue
                if changed:
                    yield Mutant(path.relative_to(ROOT), name, occurrence, text)


def without_types(code: str) -> ast.Module:
    """Parse code and take away what says nothing to the computer."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant("")
    return tree


def survives(mutant: Mutant, copy: Path, tests: list[str], seconds: float | None) -> bool:
    """Tell whether all tests pass with a mutant in a copy of the repository, within some time."""
    target = copy / mutant.file
    original = target.read_text()
    target.write_text(mutant.text)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    environment |= {"NUMBA_CACHE_DIR": str(copy / ".numba")}
    # A group of its own: what the tests started goes with them.
    process = subprocess.Popen(
        command, cwd=copy, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        target.write_text(original)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="mutants of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mprd-mutation-") as name:
        copy = Path(name) / "repository"
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split("\n")  # fmt: skip
        for file in filter(None, listed):
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, copy / file, follow_symlinks=False)  # a folder is one
        for part in PARTS:
            if options.only in (None, part):
                report(part, copy, options.count, options.seed)


def report(part: str, copy: Path, count: int, seed: int) -> None:
    """Try a mutant of each line of a sample; print the survivors and the share that was killed."""
    places, tests = PARTS[part]
    every, draw = list(mutants(places)), random.Random(seed)
    lines: dict[tuple[Path, str], list[Mutant]] = {}
    for mutant in every:
        lines.setdefault((mutant.file, mutant.line().partition(" -> ")[0]), []).append(mutant)
    # A line first: a product has a dozen mutants, a comparison five, and most of them die alike.
    drawn = draw.sample(sorted(lines, key=str), min(count, len(lines)))
    chosen = [draw.choice(lines[line]) for line in drawn]
    unchanged = Mutant(chosen[0].file, "", 0, (copy / chosen[0].file).read_text())
    begin = time.monotonic()
    if not survives(unchanged, copy, tests, None):
        raise SystemExit(f"the tests of {part} fail on the code as it is")
    limit = PATIENCE * (time.monotonic() - begin)
    killed = 0
    for mutant in chosen:
        if survives(mutant, copy, tests, limit):
            print(f"SURVIVED {mutant.file} {mutant.operator.split('/')[-1]}: {mutant.line()}")
        else:
            killed += 1
        sys.stdout.flush()
    print(
        f"{part}: {killed} of {len(chosen)} killed; there are {len(every)} mutants in "
        f"{len(lines)} lines",
        flush=True,
    )


if __name__ == "__main__":
    main()
