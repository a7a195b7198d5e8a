"""What `mprd run` is given in place of a config: a folder of results, or of images."""

from pathlib import Path

from mprd.config import expand_runs, read_yaml
from mprd.errors import UserError, pasted
from mprd.pipeline.layout import RunLayout


def require_config(path: Path) -> None:
    """Check that a config is no folder, and not empty.

    Raises:
        UserError: it is so; for a folder of results the message names its config, if that is near.
    """
    if not path.is_dir():
        if not read_yaml(path):
            raise UserError(f"{path} holds no settings. Write a config with `mprd new FOLDER`.")
        return
    found = sorted(one.parent for one in path.glob(f"*/{RunLayout(path).config.name}"))
    run = path if RunLayout(path).config.is_file() else next(iter(found), None)
    if run is None:
        raise UserError(
            f"{path} is a folder, not a config. If your images are there, write a config with "
            f"`mprd new {pasted(path)}`."
        )
    near = _config_of(run)
    use = f"mprd run {pasted(near)}" if near else "mprd run CONFIG"
    file = "" if near else ", where CONFIG is the file that it was started with"
    raise UserError(
        f"{path} is a folder of results, not a config. Go on with `{use}`{file}. "
        f"{RunLayout(run).config} lists all settings of the run."
    )


def _config_of(run: Path) -> Path | None:
    """Return the config beside which `mprd run` would go on with a run; None: there is none."""
    for folder in (Path(), Path("config")):
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            try:
                runs = expand_runs(read_yaml(path), str(path))
            except UserError:  # another kind of file
                continue
            places = (one.config.results / one.name for one in runs)
            if any(place.resolve() == run.resolve() for place in places):
                return path
    return None
