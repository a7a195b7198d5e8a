"""The generated part of `docs/artifacts.md`: one table per schema."""

from mprd.artifacts.declaration import Array, Schema
from mprd.artifacts.schema import SCHEMAS

_HEAD = """# Artifacts

`mprd config reference` generates this page from `mprd/artifacts/schema.py` and
`relation_schemas.py`. Do not edit it. This page is the normative description of every file of a
run. `mprd inspect FILE` prints and checks one.

## Rules for every file

- Arrays are HDF5 (readable with any HDF5 tool), weights are safetensors, reports are JSON or CSV.
  Only `state.pt` is written by `torch.save`, and mprd loads it with `weights_only=True`. Nothing is
  pickled.
- mprd writes a file beside its target, fsyncs it and renames it: it is whole or it is not there.
  Meanwhile a lock (`.<name>.lock`) keeps a second writer waiting.
- HDF5 root attributes: `schema` (name), `schema_version`, `mprd_version`, `created` (UTC),
  `config` (JSON: the settings the stage read, nested as in the config file), `inputs` (JSON: role
  -> digest of each input file), `seed` (-1: none used), `digest`. Every data set has
  `description` and, where it applies, `units`.
- `digest` is the SHA-256 over the schema's data sets (name, dtype, shape, values), not over
  attributes. So equal contents have equal digests, whenever they were made. A reader compares
  `inputs` with the digests of the files at hand and refuses a stale or foreign file.
- The first 512 bytes of an HDF5 file are a text (HDF5 calls it a user block) with the CRC-32 of
  the rest. A reader compares it before HDF5 reads anything. It does not cover the images of
  `pixels.h5`, which have a checksum each. Safetensors and JSON carry a digest, `state.pt` the
  checksums of its archive.
- A reader checks schema, version, dtypes, shapes, ranges and NaN. It refuses an older or newer
  version, with a message that names the command that makes the file again.

## Layout of a run

```
{layout}```

A run's `epochs` folder has one folder per epoch: 001, 002, ... When the run has finished, epochs
before the last keep only some of their files, unless `keep` is `all`
([what stays](howto/resume.md#what-a-finished-run-keeps)). `mprd run --tensorboard` adds
`events/`. `mprd answer` and `mprd browse` keep what people decided in `decisions.csv`
([columns](howto/answer.md#the-log)).

Dimensions: `n` images of the index, `N` training images, `D` embedding size, `K` clusters,
`k` neighbours, `Q` queries, `m` nodes and `v` views of the metadata, `p` pairs, `r` judgements.

"""

_TAIL = """## model.safetensors (`mprd.model`, version 1)

Network weights under their PyTorch names. The header has one key, `mprd`, a JSON object with
`schema`, `schema_version`, `mprd_version`, `architecture` (backbone, pooling, bn_group_size,
height, width, last_stride, the mean and std that the input is normalised by, and `timm`, the
network that the hub named: all that builds the network), `config`, `inputs`, `seed` and `digest`
(SHA-256 over names, dtypes, shapes and values). A file without mean and std is of an older version:
its input is normalised by ImageNet's. It holds no date: equal weights made from equal inputs are
equal files.

## gcn.safetensors (`mprd.gcn`, version 1), also the pre-trained GCN

Weights of the relation GCN, with the same header; `architecture` holds network, node_features,
inputs, hidden, sort_k, conv, mlp and dropout. The file of an epoch holds the GCN after the epoch.
The next epoch predicts with it.

## state.pt

A dict for the next epoch: `schema` (`mprd.state`), `epoch`, `optimizer` (Adam's state dict),
`rng` (state of the generator that all randomness of an epoch is drawn from). With
`train.average_from` also `weights`: what the epoch left, where `model.safetensors` is a mean.

## JSON reports

- `metrics.json` (`mprd.metrics`): `epoch`, `lr`, mean `loss`, the mean of each loss that is on
  (`cluster_contrast_loss`, or `hsd_loss` with `use_hsd`; `camera_loss` ...; `ppa_loss`, null where
  it is off; older files call Cluster Contrast `hsd_loss` too), mean numbers of hard positives and
  negatives per image, and `step_loss`, the loss of every step; with `use_gcn` also `relations`:
  the attributes of `relations.h5`.
- `gcn.json` (`mprd.learning`): `loss`, the losses of the relation GCN's tasks in an epoch, by
  source: `metadata`, `unlabelled`, `collected`.
- `gcn/metrics.json` (`mprd.pretrain`): losses of the tasks, numbers of training pairs, `held_out`
  (accuracy, precision, recall on pairs with an image that no training pair has) and `truth`, the
  quality on doubtful pairs against known identities (null if unknown): accuracy, AUC, the positive
  rate as estimated (`prior`) and as it is (`true_share`), the Brier score at this rate
  and for balanced tasks, and `reliability`: pairs, mean probability and positive rate by
  tenths.
- `evaluation/*.json` (`mprd.evaluation`): `mAP`, `rank1`, `rank5`, `rank10`, `mINP` (shares in
  [0, 1]), `num_queries`, `num_valid_queries`, `inputs`; or `skipped` with the reason. With
  `evaluate.time` also `with_time`: the same metrics with times at search, and `num_timed_queries`,
  the valid queries with a time and a known camera.
- `init/metrics.json` (`mprd.init`): `method`, `loss` of every warm-up step.
"""

_TABLES = """
## metrics.csv and summary.csv

`metrics.csv` has a row for each baseline, for the initial model and for each epoch. Retrieval
metrics belong to the model *after* the epoch. Cluster metrics belong to the clusters that the epoch
trained on. `summary.csv` starts with `variant` and `seeds`. It then has the same columns, as means
over seeds, and `<column>_std`. Unknown values are empty.

"""


def markdown(layout: str, columns: str) -> str:
    """Return `docs/artifacts.md`.

    Args:
        layout: lines that name the files of a run.
        columns: table of the columns of metrics.csv.
    """
    return (
        _HEAD.replace("{layout}", layout)
        + "".join(_section(schema) for schema in SCHEMAS.values())
        + _TAIL
        + _TABLES
        + columns
        + "\n"
    )


def _section(schema: Schema) -> str:
    file = schema.name.removeprefix("mprd.")
    lines = [
        f"## {file}.h5 (`{schema.name}`, version {schema.version})\n",
        f"{schema.description} Made by `mprd {schema.command}`.\n",
        "| data set | dtype | shape | values | meaning |",
        "|---|---|---|---|---|",
    ]
    for key, array in schema.arrays.items():
        shape = " x ".join(map(str, array.dims))
        unit = f" ({array.units})" if array.units else ""
        dtypes = " or ".join((array.dtype, *array.others))
        optional = "; may be missing" if array.optional else ""
        lines.append(
            f"| `{key}` | {dtypes} | {shape} | {_range(array)} | {array.description}{unit}"
            f"{optional} |"
        )
    if schema.attributes:
        lines += ["", "| attribute | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {text} |" for name, text in schema.attributes.items()]
    return "\n".join(lines) + "\n\n"


def _range(array: Array) -> str:
    limits = []
    if array.minimum is not None:
        limits.append(f">= {array.minimum:g}")
    if array.maximum is not None:
        limits.append(f"<= {array.maximum:g}")
    if array.below:
        limits.append(f"< {array.below}")
    if array.dtype.startswith("float") and not array.finite:
        limits.append("NaN allowed")
    return ", ".join(limits)
