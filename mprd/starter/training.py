"""Whether a folder is likely to gain from training: what `mprd new` writes as `epochs`."""

from dataclasses import dataclass

SMALL = 2000  # images
EPOCHS = 20


@dataclass(frozen=True)
class Choice:
    """Epochs, and why.

    Attributes:
        epochs: 0: the clusters of the start features.
        why: a sentence for the user, without the number of images.
    """

    epochs: int
    why: str


def choose_training(images: int, *, weights: bool, wanted: bool = False) -> Choice:
    """Choose whether to train, by what was measured (docs/howto/own-images.md#whether-to-train).

    - 283 crops of 25 people, ImageNet start (EfficientNet-lite0): after 20 epochs the clusters had
      the same pair F1 as before (0.249), and mAP among the crops had fallen from 0.281 to 0.223.
    - 12,936 images of Market-1501, the same start: 17 epochs raised mAP from 2.3 to 68.9.
    - A start that knows people had a pair F1 of 0.67 to 0.86 on folders of 10 to 100 people without
      training. What training adds to it was not measured.

    Nothing was measured between 283 and 12,936 images. `SMALL` lies between them, nearer to the
    lower end, so that only folders of the small kind go untrained.

    Args:
        images: of the folder.
        weights: the user names a weights file; else the start has ImageNet weights.
        wanted: the user wants training, whatever is likely.
    """
    if wanted:
        return Choice(EPOCHS, f"{EPOCHS} epochs, as --train asks")
    if images >= SMALL:
        known = (
            "what training adds to such weights was not measured"
            if weights
            else "on 12,936 images, training from ImageNet weights made clusters much better"
        )
        return Choice(EPOCHS, f"{EPOCHS} epochs ({known})")
    known = (
        "use such weights as they are: a gain by training on so few images was not measured"
        if weights
        else "on 283 images, training from ImageNet weights made clusters no better"
    )
    return Choice(0, f"no training, the clusters of the start features ({known})")
