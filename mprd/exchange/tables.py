"""Identities as tables: path and identity, Wildbook's bulk import, observations of Camtrap DP."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from mprd import __version__
from mprd.artifacts import atomic
from mprd.errors import many
from mprd.exchange.identified import Identified, Sighting

_WILDBOOK = (
    "Encounter.mediaAsset0",
    "MarkedIndividual.individualID",
    "Encounter.locationID",
    "Encounter.year",
    "Encounter.month",
    "Encounter.day",
    "Encounter.hour",
    "Encounter.minutes",
)
_CAMTRAP = (
    "observationID",
    "deploymentID",
    "mediaID",
    "eventID",
    "eventStart",
    "eventEnd",
    "observationLevel",
    "observationType",
    "cameraSetupType",
    "scientificName",
    "count",
    "lifeStage",
    "sex",
    "behavior",
    "individualID",
    "individualPositionRadius",
    "individualPositionAngle",
    "individualSpeed",
    "bboxX",
    "bboxY",
    "bboxWidth",
    "bboxHeight",
    "classificationMethod",
    "classifiedBy",
    "classificationTimestamp",
    "classificationProbability",
    "observationTags",
    "observationComments",
)
_RISKY = ("=", "+", "-", "@", "\t", "\r")  # a table program would take such a cell for a formula


def write_csv(found: Identified, out: Path) -> str:
    """Write `identities.csv`: path, identity, cluster, relation, camera, time, confirmed.

    Returns:
        What to do with it.
    """
    columns = ("path", "identity", "cluster", "relation", "camera", "time", "confirmed")
    rows = (
        (s.path, s.identity, s.cluster, s.relation, s.camera, s.moment, int(s.sure))
        for s in found.sightings
    )
    _write(out / "identities.csv", columns, (dict(zip(columns, row, strict=True)) for row in rows))
    return "identities.csv: `mprd import` reads it, after you changed identities in it, too"


def write_wildbook(found: Identified, out: Path) -> str:
    """Write `wildbook.csv` for Wildbook's bulk import: one encounter for each image.

    Returns:
        What to do with it.
    """
    _write(out / "wildbook.csv", _WILDBOOK, map(_encounter, found.sightings))
    return (
        "wildbook.csv: add Encounter.genus, Encounter.specificEpithet and your places, save it as "
        "XLSX, and upload it with the images (Bulk Import)"
    )


def _encounter(one: Sighting) -> Mapping[str, object]:
    moment = one.moment
    when = (moment[:4], moment[5:7], moment[8:10], moment[11:13], moment[14:16])
    cells = (one.path, one.identity, one.camera, *(part.lstrip("0") or "0" for part in when))
    return dict(zip(_WILDBOOK, cells if moment else (*cells[:3], *[""] * 5), strict=True))


def write_camtrap(found: Identified, out: Path) -> str:
    """Write `observations.csv` of Camtrap DP 1.0: one observation for each image.

    The camera is the deployment, the path is the medium.

    Returns:
        What to do with it.
    """
    rows = (
        {
            "observationID": f"{found.run}:{n}",
            "deploymentID": one.camera,
            "mediaID": one.path,
            "eventStart": one.moment,
            "eventEnd": one.moment,
            "observationLevel": "media",
            "observationType": "animal",
            "individualID": one.identity,
            "classificationMethod": "human" if one.sure else "machine",
            "classifiedBy": "" if one.sure else f"mprd {__version__}",
            "classificationProbability": "",  # nobody knows it without an audit
        }
        for n, one in enumerate(found.sightings, 1)
    )
    _write(out / "observations.csv", _CAMTRAP, rows)
    missing = {
        "a time": sum(not one.moment for one in found.sightings),
        "a camera": sum(not one.camera for one in found.sightings),
    }
    lacks = (
        f"; it requires {what}, which {many(count, 'row lacks', 'rows lack')}"
        for what, count in missing.items()
        if count
    )
    return f"observations.csv: deployments and media are named by camera and path{''.join(lacks)}"


def _write(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    with (
        atomic(path, lock=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in row.items()} for row in rows)


def _plain(value: object) -> object:
    """Return a cell that no table program runs: a name may begin with `=`."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RISKY) else value
