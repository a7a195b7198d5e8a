"""The generated page `docs/memory.md`: the formulas of `ram.py`, as they stand in the code."""

import ast
import inspect
import textwrap

from mprd.system import ram

_HEAD = """# Memory of a stage

Generated from `mprd/system/ram.py` by `mprd config reference`; do not edit.

Before a stage that may need much does anything costly, it says on standard error what it will need
and what is free (limits of containers and batch systems count). It stops, with exit code 2, if that
cannot work. The formulas are upper estimates of the largest resident set of the process on a CPU,
in bytes. `benchmarks/memory.py` runs every stage on artifacts of several sizes and compares: see
[results](../benchmarks/RESULTS.md). On a GPU the feature maps are not counted, for they lie on the
card, which is not checked.

| stage | formulas |
|---|---|
| `pixels` | `pixels_bytes` |
| `graph` | `graph_bytes` |
| `cluster` | `cluster_bytes` |
| `features`, `metadata` | `inference_bytes` |
| `init` (warm-up), `train` | `training_bytes`, with 4 more copies of the features in `train` |
| `train` and `pretrain` with the relation GCN | the same, and `relation_bytes` |
| `judge` | `judge_bytes` |
| `ranks` | `ranks_bytes` |
| `evaluate` | `inference_bytes` and `evaluation_bytes` |
| `export` | `inference_bytes` of all images, then `graph_bytes`, then `cluster_bytes` |

"""


def markdown() -> str:
    """Return `docs/memory.md`."""
    functions = [f for name, f in vars(ram).items() if name.endswith("_bytes")]
    constants = ("MIB", "PIXEL_SHARE", "_LIGHT", "_TORCH")
    values = "\n".join(f"{name} = {getattr(ram, name)}" for name in constants)
    sections = "".join(_section(function) for function in functions)
    return f"{_HEAD}```python\n{values}\n```\n{sections}"


def _section(function: object) -> str:
    source = textwrap.dedent(inspect.getsource(function))  # type: ignore[arg-type]
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    doc = definition.body[0]
    lines = source.splitlines()
    code = "\n".join(lines[: doc.lineno - 1] + lines[doc.end_lineno :])
    summary, _, rest = (ast.get_docstring(definition) or "").partition("\n\nArgs:\n")
    arguments = "".join(
        f"  {line.strip()}\n" if line.startswith(" ") else f"- {line}\n"
        for line in textwrap.dedent(rest).strip().splitlines()
    )
    return f"\n## `{definition.name}`\n\n{summary}\n\n```python\n{code}\n```\n\n{arguments}"
