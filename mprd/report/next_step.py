"""The next useful command after a run, and after decisions."""

from pathlib import Path

from mprd.artifacts import INDEX, read_artifact
from mprd.config import load_config
from mprd.errors import many, pasted
from mprd.pipeline.layout import RunLayout
from mprd.starter.training import SMALL


def next_step(run: RunLayout, *, labelled: bool) -> tuple[str, str]:
    """Return what to do next in words, and the command.

    Args:
        run: a finished run.
        labelled: some identities are known: who knows them has nothing to judge.
    """
    folder = pasted(run.folder)
    if labelled and not run.final.model.is_file():  # its features are given
        return "Next, assign new images", f"mprd assign --run {folder} --features NEW.npy"
    if labelled:
        model, gallery = (pasted(p) for p in (run.final.model, run.final.embeddings))
        return "Next, find similar images", f"mprd search IMAGE --model {model} --gallery {gallery}"
    text = "Next, judge doubtful pairs, which improves the clusters"
    return text, f"mprd answer --run {folder}"


def better_start(run: RunLayout) -> str:
    """Return what would do more for a run than anything else; "": nothing that is known.

    Args:
        run: a finished run without known identities.
    """
    config = load_config(run.config)
    published = "hf-hub:" in config.model.backbone  # it knows more than ImageNet
    if config.data.features is not None or config.init.method != "imagenet" or published:
        return ""
    images = int(read_artifact(run.index, INDEX, ("split",)).attributes["num_train"])
    if images >= SMALL:
        return ""
    new = f"mprd new {pasted(config.data.root)} --weights FILE"
    few = many(images, "image is", "images are")
    return (
        f"This run starts from ImageNet weights, and {few} few to learn from. Weights that know "
        f"such objects would help most (docs/howto/weights.md): {new}"
    )


def apply_next(run: Path) -> str:
    """Return what to do next after new decisions.

    Args:
        run: folder of the run.
    """
    return f"Next, let them hold in the clusters: mprd apply {pasted(run)}"
