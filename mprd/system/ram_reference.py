"""The generated page `docs/memory.md`: the formulas of `ram.py`, as they stand in the code."""

import ast
import inspect
import textwrap

from mprd.system import ram

_HEAD = """# Memory of a stage

`mprd config reference` generates this page from `mprd/system/ram.py`. Do not edit it.

A stage that may need much memory tells you so before it does anything costly. It prints on standard
error what it will need and what is free; limits of containers and batch systems count. If the
memory cannot suffice, it stops with exit code 2.

The formulas are upper estimates of the largest resident set of the process on a CPU, in bytes.
`benchmarks/memory.py` runs every stage on artifacts of several sizes and compares
([results](../benchmarks/RESULTS.md)). On a GPU the formulas do not count feature maps: these lie on
the card, and mprd does not check the card.

A stage with several formulas needs their sum. `init` needs this memory only for a warm-up. `train`
holds four more copies of the features, and needs `relation_bytes` only with `use_gcn`.

"""


def markdown(stages: str) -> str:
    """Return `docs/memory.md`.

    Args:
        stages: which formulas each stage uses, as a table.
    """
    functions = [f for name, f in vars(ram).items() if name.endswith("_bytes")]
    constants = ("MIB", "PIXEL_SHARE", "_LIGHT", "_TORCH")
    values = "\n".join(f"{name} = {getattr(ram, name)}" for name in constants)
    sections = "".join(_section(function) for function in functions)
    return f"{_HEAD}{stages}\n```python\n{values}\n```\n{sections}"


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
