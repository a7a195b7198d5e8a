"""What a run has learnt of times, for images outside of it: queries, galleries, new crops."""

import sys

import numpy as np

from mprd.artifacts import TRANSITIONS, read_artifact
from mprd.config import load_config
from mprd.errors import UserError, say
from mprd.evidence.fusion import correction
from mprd.evidence.lookup import time_evidence
from mprd.evidence.travel import stored_transitions
from mprd.inference.sightings import Sightings
from mprd.pipeline.layout import RunLayout


class RunTimes:
    """The transitions of a run.

    Attributes:
        informative: whether the run found that times carry anything.
    """

    def __init__(self, run: RunLayout) -> None:
        """Read what a run has learnt: at its end, else in its last epoch.

        Args:
            run: with `use_time`.

        Raises:
            UserError: the run has learnt no transitions.
        """
        config = load_config(run.config)
        if not config.use_time:
            raise UserError(
                f"{run.folder} has learnt nothing of times. Set use_time to true and run `mprd "
                "run` again, or leave out --times."
            )
        self._settings = config.time
        last = run.epochs_with("transitions")[-1:]
        path = run.epoch(last[0]).transitions if last else run.final.transitions
        path = run.final.transitions if run.final.transitions.is_file() else path
        found = read_artifact(path, TRANSITIONS)
        self._transitions = stored_transitions(found.arrays, found.attributes)
        self.informative = self._transitions.informative

    def evidence(self, some: Sightings, others: Sightings, block: slice) -> np.ndarray:
        """Return the log ratio of pairs, within the limits of `time.most`.

        Args:
            some: n images, of which `block` are compared.
            others: m images.
            block: of the first.

        Returns:
            float32 (rows of the block, m).
        """
        return np.clip(
            time_evidence(
                self._transitions,
                some.times[block, None],
                some.trained[block, None],
                others.times,
                others.trained,
            ),
            -self._settings.most,
            self._settings.most,
        )

    def correction(self, evidence: np.ndarray) -> np.ndarray:
        """Return what evidence adds to similarities."""
        return correction(evidence, self._settings)

    def say(self, some: Sightings, others: Sightings, what: str, among: str) -> None:
        """Tell on standard error how many images times are used for.

        Args:
            some: images that are ranked or assigned.
            others: those they are compared with.
            what: name of the first, plural.
            among: name of the others, plural.
        """
        if not self.informative:
            line = f"in this run they tell nothing; all {what} are compared by appearance only"
        else:
            unknown = np.isfinite(some.times) & ~some.told
            line = (
                f"used for {some.told.sum():,} of {len(some.told):,} {what} and "
                f"{others.told.sum():,} of {len(others.told):,} {among}; the others are compared "
                f"by appearance only ({what}: {np.isnan(some.times).sum():,} without a time, "
                f"{unknown.sum():,} of a camera that the run does not know)"
            )
        say(f"times: {line}", file=sys.stderr)
