"""Generated files: `config/README.md` (all settings) and `config/schema.json`."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mprd.config.models import Config

_HEAD = """# Configuration

Generated from `mprd/config/models.py` by `mprd config reference`; do not edit.
A configuration is a YAML file; every key is optional and an unknown one is an error.
`snakemake --cores all` reads `config/config.yaml`; another file is named with
`--configfile config/market1501.yaml`, single keys with `--config 'cluster={eps: 0.5}'`.

| file | for |
|---|---|
| `config.yaml` | the embedded demo: synthetic images, minutes on two CPU cores |
| `market1501.yaml`, `dukemtmcreid.yaml`, `msmt17.yaml`, `personx.yaml`, `veri.yaml` | \
paper-scale runs |
| `market1501_small.yaml` | the real Market-1501 on a CPU, reduced |
| `folder.yaml` | your own images |
| `sweep.yaml` | variants x seeds of the demo in one DAG |
"""


def markdown() -> str:
    """Return `config/README.md`."""
    return _HEAD + _section(Config, "")


def json_schema() -> str:
    """Return `config/schema.json`, for editors that check YAML."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def write_reference(folder: Path) -> list[Path]:
    """Write both files into `folder` and return their paths."""
    paths = [folder / "README.md", folder / "schema.json"]
    for path, text in zip(paths, (markdown(), json_schema()), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _section(model: type[BaseModel], prefix: str) -> str:
    title = f"`{prefix[:-1]}`" if prefix else "Top level"
    doc = (model.__doc__ or "").strip().splitlines()[0]
    rows, below = [], []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            below.append(_section(field.annotation, f"{prefix}{name}."))
            continue
        cells = (f"`{prefix}{name}`", _default(field), _values(field), field.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    table = "\n| key | default | values | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    return f"\n## {title}\n\n{doc}\n{table}" + "".join(below)


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return f"`{json.dumps(value, default=str)}`"


def _values(field: FieldInfo) -> str:
    kind = str(field.annotation).replace("typing.", "").replace("pathlib._local.", "")
    if isinstance(field.annotation, type):
        kind = field.annotation.__name__
    kind = kind.replace("Literal[", "one of [").replace("pathlib.Path", "Path")
    kind = kind.replace("Any", "any").split(", FieldInfo")[0].replace("Annotated[", "")
    limits = []
    for item in field.metadata:
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            bound = getattr(item, name, None)
            if bound is not None:
                limits.append(f"{sign} {bound:g}")
    return ", ".join([kind, *limits])
