"""Files of the hub of Hugging Face: those of its cache, else with one try to reach it."""

from pathlib import Path

from mprd.errors import UserError

_SECONDS = 10  # to wait for an answer
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the safe format first


def hub_config(name: str) -> Path:
    """Return the `config.json` of a network.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION.

    Raises:
        UserError: no such network, or the hub cannot be reached.
    """
    repository, _, revision = name.partition("@")
    found = hub_file(repository, "config.json", revision or None)
    if found is None:
        raise UserError(f"{repository} on the hub has no config.json: it is no network of timm.")
    return found


def hub_weights(name: str) -> Path:
    """Return the weights of a network, of the revision that its `config.json` has.

    Args:
        name: as in `hub_config`.

    Raises:
        UserError: no such network, none of the known files, or the hub cannot be reached.
    """
    repository, revision = name.partition("@")[0], revision_of(hub_config(name))
    for look in (_cached, hub_file):
        for file in _WEIGHTS:
            found = look(repository, file, revision)
            if found is not None:
                return found
    raise UserError(f"{repository} on the hub has no weights: neither {' nor '.join(_WEIGHTS)}.")


def revision_of(file: Path) -> str:
    """Return the commit that a file of the cache belongs to: the name of its folder."""
    return file.parent.name


def hub_file(repository: str, file: str, revision: str | None = None) -> Path | None:
    """Return a file of a repository; None: the repository has no such file.

    A file in the cache is taken as it is, without a question to the hub: a run stays the same when
    the hub has a newer one. The hub's own client would try to reach it six times.

    Args:
        repository: OWNER/NAME.
        file: name in it.
        revision: branch, tag or commit; None: the main branch.

    Raises:
        UserError: no such repository or revision, or the hub cannot be reached.
    """
    import huggingface_hub as hub
    from huggingface_hub import errors

    try:
        kept = _cached(repository, file, revision)
        if kept is not None:
            return kept
        hub.get_hf_file_metadata(
            hub.hf_hub_url(repository, file, revision=revision), timeout=_SECONDS
        )
        return Path(hub.hf_hub_download(repository, file, revision=revision))
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError):
        at = f" at revision {revision}" if revision else ""
        raise UserError(
            f"The hub shows no network {repository!r}{at}. Check the name in model.backbone; if "
            "its owner wants a login, run `hf auth login` first."
        ) from None
    except errors.LocalEntryNotFoundError as error:  # a kind of the next one, but no answer
        raise UserError(_unreachable(repository, error)) from None
    except errors.EntryNotFoundError:
        return None
    except Exception as error:  # the client and the libraries below it raise many kinds
        raise UserError(_unreachable(repository, error)) from None


def _cached(repository: str, file: str, revision: str | None) -> Path | None:
    import huggingface_hub as hub

    kept = hub.try_to_load_from_cache(repository, file, revision=revision)
    return Path(kept) if isinstance(kept, str) else None


def _unreachable(repository: str, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f"Cannot reach the hub for {repository} ({reason}). Go online once: mprd takes the files "
        f"from the cache afterwards. Or run `hf download {repository} --local-dir FOLDER` on "
        "another machine, copy the folder, and set init.method to checkpoint, init.checkpoint to "
        "the weights file in it, model.backbone to timm/ and the architecture in its config.json "
        "(mprd new --weights FILE does so). timm/tf_efficientnet_lite0 needs no hub."
    )
