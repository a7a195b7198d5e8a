"""The next useful command after a run."""

import shlex

from mprd.pipeline.layout import RunLayout


def next_step(run: RunLayout, *, labelled: bool) -> tuple[str, str]:
    """Return what to do next in words, and the command.

    Args:
        run: a finished run.
        labelled: some identities are known: who knows them has nothing to judge.
    """
    folder = shlex.quote(str(run.folder))
    if labelled and not run.final.model.is_file():  # its features are given
        return "Next, assign new images", f"mprd assign --run {folder} --features NEW.npy"
    if labelled:
        model, gallery = (shlex.quote(str(p)) for p in (run.final.model, run.final.embeddings))
        return "Next, find similar images", f"mprd search IMAGE --model {model} --gallery {gallery}"
    text = "Next, judge doubtful pairs, which improves the clusters"
    return text, f"mprd answer --run {folder}"
