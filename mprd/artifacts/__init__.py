"""Artifacts: schemas, atomic writing, checked reading (`docs/artifacts.md` is normative)."""

from mprd.artifacts.added_schema import ADDED
from mprd.artifacts.checksums import content_digest, row_checksums
from mprd.artifacts.files import atomic, read_json, require_file, sha256_file, write_json
from mprd.artifacts.relation_schemas import COLLECTED, JUDGEMENTS, METADATA, RANKS, RELATIONS
from mprd.artifacts.rows import read_images, read_rows
from mprd.artifacts.schema import (
    CLUSTERS,
    FEATURES,
    GALLERY,
    GRAPH,
    INDEX,
    PIXELS,
    RANKINGS,
    SCHEMAS,
    SPLITS,
    Array,
    Schema,
)
from mprd.artifacts.store import (
    Artifact,
    check,
    create_artifact,
    open_artifact,
    read_artifact,
    write_artifact,
)
from mprd.artifacts.time_schemas import TRANSITIONS

__all__ = [
    "ADDED",
    "CLUSTERS",
    "COLLECTED",
    "FEATURES",
    "GALLERY",
    "GRAPH",
    "INDEX",
    "JUDGEMENTS",
    "METADATA",
    "PIXELS",
    "RANKINGS",
    "RANKS",
    "RELATIONS",
    "SCHEMAS",
    "SPLITS",
    "TRANSITIONS",
    "Array",
    "Artifact",
    "Schema",
    "atomic",
    "check",
    "content_digest",
    "create_artifact",
    "open_artifact",
    "read_artifact",
    "read_images",
    "read_json",
    "read_rows",
    "require_file",
    "row_checksums",
    "sha256_file",
    "write_artifact",
    "write_json",
]
