"""Where the images of a run lie."""

import hashlib
import json
from pathlib import Path

from mprd.config import Config
from mprd.errors import UserError
from mprd.pipeline.code_digest import code_digest
from mprd.pipeline.conditions import SYNTHETIC
from mprd.pipeline.layout import FinalLayout


def data_location(config: Config) -> Path:
    """Return the folder (or manifest) of the images of a run."""
    return synthetic_folder(config) if SYNTHETIC.holds(config) else config.data.root


def synthetic_folder(config: Config) -> Path:
    """Return the folder of the synthetic images, named by their settings and the generator's code.

    It lies below `data.root`. Other settings, or another generator, mean another folder.
    """
    settings = {"synthetic": config.data.synthetic.model_dump(mode="json")}
    text = json.dumps(settings, sort_keys=True) + code_digest("synthesize", config)
    return config.data.root / f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def require_other(config: Config, final: FinalLayout) -> None:
    """Check that a run does not take the numbers of its clusters from the file that it writes.

    Raises:
        UserError: it does.
    """
    numbers = config.export.numbers
    if numbers is not None and numbers.resolve() == final.table.resolve():
        raise UserError(
            f"export.numbers names {numbers}, which this run writes anew. Leave it out: "
            "a run keeps the numbers of the clusters that it replaces."
        )


def require_plain(config: Config) -> None:
    """Check that folders the workflow writes into have names that Snakemake takes as they are.

    Raises:
        UserError: one has braces, which are wildcards to Snakemake.
    """
    places = {"results": config.results}
    if SYNTHETIC.holds(config):
        places["data.root"] = config.data.root
    for key, path in places.items():
        if {"{", "}"} & set(str(path)):
            raise UserError(
                f"{key} is {path}, and Snakemake takes braces for wildcards. Choose a name without "
                "braces, or a relative path."
            )
