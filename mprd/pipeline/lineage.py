"""Where the files of a stage come from: files that do not belong together are refused.

An artifact records the digests of what it was made from. A stage reads its inputs through a
`Lineage`, which holds each record against the files at hand, as far as the stage table says that
they belong to one step: a file of the epoch before was made from that epoch's files.
"""

from collections.abc import Mapping
from pathlib import Path

from mprd.artifacts import Artifact, Schema, read_artifact
from mprd.errors import UserError, how_to_fix
from mprd.pipeline.files import file_name
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.stage import At, Place
from mprd.pipeline.stages import stage

_OF_THE_RUN = ("index", "pixels")  # the same in every step


class Lineage:
    """The input files of one job.

    Attributes:
        name: of the stage.
        digests: keyword of the stage table -> digest of the file; what the job's results record.
        origins: keyword -> what the file records to be made from, name -> digest.
    """

    def __init__(self, name: str) -> None:
        """Begin with no file.

        Args:
            name: of the stage.
        """
        self.name = name
        self._stage = stage(name)
        self._reads = {read.name: read for read in self._stage.reads}
        self._paths: dict[str, Path] = {}
        self._records: dict[str, tuple[Mapping[str, str], str]] = {}
        self.digests: dict[str, str] = {}
        self.origins: dict[str, Mapping[str, str]] = {}

    def read(
        self, keyword: str, path: Path, schema: Schema, keys: tuple[str, ...] | None = None
    ) -> Artifact:
        """Read an artifact and check it, as `read_artifact`, and that it belongs to the others.

        Args:
            keyword: of the stage table.
            path: of the file.
            schema: what it must be.
            keys: data sets to read; default all.

        Raises:
            UserError: missing, damaged, or made from another file than one at hand.
        """
        artifact = read_artifact(path, schema, keys)
        self.add(keyword, path, artifact.digest, artifact.inputs, schema.command)
        return artifact

    def add(
        self,
        keyword: str,
        path: Path,
        digest: str,
        inputs: Mapping[str, str],
        command: str,
        *,
        foreign: bool = False,
    ) -> None:
        """Take note of a file that was read otherwise, and check that it belongs to the others.

        Args:
            keyword: of the stage table.
            path: of the file.
            digest: of the file.
            inputs: what it records to be made from, name -> digest.
            command: that makes such files.
            foreign: it may come from elsewhere.

        Raises:
            UserError: made from another file than one at hand.
        """
        self.digests[keyword] = digest
        self.origins[keyword] = inputs
        self._paths[keyword] = path
        self._records[keyword] = ({} if foreign else inputs, command)
        for child in self._records:
            self._check(child)

    def _check(self, child: str) -> None:
        inputs, command = self._records[child]
        for name in self._parents(child):
            if name in inputs and name in self.digests and inputs[name] != self.digests[name]:
                kind = file_name(self._reads[name].role) or self._paths[name].name
                raise UserError(
                    f"{self._paths[child]} was made from another {kind} than {self._paths[name]}: "
                    "it is stale or belongs to another run. "
                    f"{how_to_fix(self._paths[child], command)}"
                )

    def _parents(self, child: str) -> tuple[str, ...]:
        """Return the inputs of a file that must be those at hand."""
        read = self._reads[child]
        step = read.at in (At.HERE, At.FIRST) and read.role not in RunLayout.roles()
        return tuple(self.digests) if step or self._stage.place is Place.RUN else _OF_THE_RUN
