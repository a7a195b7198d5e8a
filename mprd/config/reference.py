"""Generated files: `config/README.md` (all settings) and `config/schema.json`."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mprd.config.sections import Config

_HEAD = """# Configuration

`mprd config reference` generates this page from `mprd/config/`. Do not edit it.

A configuration is a YAML file. Every key is optional, and an unknown key is an error.
`mprd run CONFIG` runs it. `snakemake --cores all` runs `config/config.yaml`. To run another file
with Snakemake, add `--configfile config/market1501.yaml`. To set single keys, add
`--config 'cluster={eps: 0.5}'`.

| file | for |
|---|---|
| `config.yaml` | the demo: synthetic images, minutes on two CPU cores |
| `market1501.yaml`, `dukemtmcreid.yaml`, `msmt17.yaml`, `personx.yaml`, `veri.yaml` | \
paper-scale runs |
| `market1501_cpu.yaml` | Market-1501 on a CPU, from the ImageNet weights that come with mprd |
| `market1501_lite0.yaml` | the same on one GPU, at 256x128; not measured |
| `market1501_rivals.yaml`, `msmt17_rivals.yaml` | MPRD, SpCL, Cluster Contrast and \
camera proxies compared, for a GPU |
| `market1501_small.yaml` | Market-1501 on a CPU, without weights from elsewhere |
| `folder.yaml` | your own images |
| `sweep.yaml` | variants x seeds of the demo in one DAG |
| `ablation.yaml` | what HSD, PPA and the relation GCN add, on harder synthetic images |
| `market1501_scratch.yaml` | Market-1501 after a long warm-up, no ImageNet weights, for a GPU |
"""


def markdown() -> str:
    """Return `config/README.md`."""
    return _HEAD + _section(Config, "")


def json_schema() -> str:
    """Return `config/schema.json`, for editors that check YAML."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def _section(model: type[BaseModel], prefix: str) -> str:
    title = f"`{prefix[:-1]}`" if prefix else "Top level"
    doc = (model.__doc__ or "").strip().splitlines()[0]
    rows, below = [], []
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            below.append(_section(field.annotation, f"{prefix}{name}."))
            continue
        cells = (
            f"`{prefix}{name}`",
            _default(field),
            _describe(properties[name]),
            field.description or "",
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    table = "\n| key | default | values | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    return f"\n## {title}\n\n{doc}\n{table}" + "".join(below)


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return f"`{json.dumps(value, default=str)}`"


def _describe(schema: dict[str, Any]) -> str:
    """Describe type and range from the JSON schema, which pydantic keeps exact."""
    if "anyOf" in schema:
        return " or ".join(_describe(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("format", schema.get("type", "any"))
    if "prefixItems" in schema:
        return f"{len(schema['prefixItems'])} values: {_describe(schema['prefixItems'][0])}"
    if kind == "array":
        return f"list of {_describe(schema['items'])}"
    bounds = (
        (">=", "minimum"),
        (">", "exclusiveMinimum"),
        ("<=", "maximum"),
        ("<", "exclusiveMaximum"),
    )
    limits = [f"{sign} {schema[key]:g}" for sign, key in bounds if key in schema]
    return " ".join([kind, ", ".join(limits)]).strip()
