"""A person's answers on training images, as the stage `cluster` reads them."""

from pathlib import Path

import numpy as np

from mprd.clustering.constraints import Constraints, ContradictionError
from mprd.errors import UserError


def read_constraints(path: Path, images: np.ndarray) -> Constraints:
    """Read answers on training images and draw their consequences.

    Raises:
        UserError: an answer cannot be read, or some exclude each other; names them.
    """
    from mprd.pairs.answers import read_answers

    pairs, same = read_answers(path, {str(image): n for n, image in enumerate(images)})
    try:
        return Constraints.of_answers(len(images), pairs, same)
    except ContradictionError as error:
        names = [str(images[row]) for row in error.chain]
        raise UserError(
            f"{path} contradicts itself: {names[0]} and {names[-1]} are said to be different, but "
            f"the same follows from {' = '.join(names)}. Correct one of these answers."
        ) from None
