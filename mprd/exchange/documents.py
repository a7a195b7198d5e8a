"""Identities as JSON: COCO, and FiftyOne's image classification."""

import json
from pathlib import Path
from typing import Any

from mprd import __version__
from mprd.artifacts import atomic
from mprd.exchange.identified import Identified


def write_coco(found: Identified, out: Path) -> str:
    """Write `annotations.json`: an annotation over each whole image, its category the identity.

    The identity is an attribute, too, for programs in which all images share one category. Images
    in no cluster have no annotation.

    Returns:
        What to do with it.
    """
    identities = {name: n for n, name in enumerate(found.identities, 1)}
    images = [
        {
            "id": n,
            "file_name": one.path,
            "width": one.size[0],
            "height": one.size[1],
            **({"date_captured": one.moment} if one.moment else {}),
        }
        for n, one in enumerate(found.sightings, 1)
    ]
    annotations = [
        {
            "id": n,
            "image_id": n,
            "category_id": identities[one.identity],
            "bbox": [0, 0, *one.size],
            "area": one.size[0] * one.size[1],
            "iscrowd": 0,
            "attributes": {
                "identity": one.identity,
                "cluster": one.cluster,
                "relation": one.relation,
                "camera": one.camera,
                "confirmed": one.sure,
            },
        }
        for n, one in enumerate(found.sightings, 1)
        if one.identity
    ]
    categories = [
        {"id": n, "name": name, "supercategory": "identity"} for name, n in identities.items()
    ]
    info = {"description": f"identities of {found.run}", "contributor": f"mprd {__version__}"}
    _write(
        out / "annotations.json",
        {
            "info": info,
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": categories,
        },
    )
    return "annotations.json: paths are those below the folder of the images"


def write_fiftyone(found: Identified, out: Path) -> str:
    """Write `labels.json` and `data.json` of a FiftyOneImageClassificationDataset.

    Images in no cluster have the label null.

    Returns:
        What to do with it.
    """
    identities = {name: n for n, name in enumerate(found.identities)}
    keys = [f"{n:08d}" for n in range(len(found.sightings))]
    labels = {
        key: identities.get(one.identity) for key, one in zip(keys, found.sightings, strict=True)
    }
    files = {key: str(one.file.absolute()) for key, one in zip(keys, found.sightings, strict=True)}
    _write(out / "labels.json", {"classes": list(identities), "labels": labels})
    _write(out / "data.json", files)
    return (
        "in Python: fiftyone.Dataset.from_dir(dataset_dir=..., "
        "dataset_type=fiftyone.types.FiftyOneImageClassificationDataset)"
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic(path, lock=False) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
