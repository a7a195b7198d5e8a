"""The metrics of a run while it runs: its table, and if wanted TensorBoard's events."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from mprd.config import Run, load_config
from mprd.errors import UserError, say
from mprd.pipeline.layout import RunLayout
from mprd.system.durations import duration


@contextmanager
def following(runs: Sequence[Run], *, tensorboard: bool) -> Iterator[Callable[[], None]]:
    """Yield what brings the metrics of some runs up to date, to be called now and then.

    Raises:
        UserError: TensorBoard is not installed.
    """
    with ExitStack() as stack:
        followers = [
            stack.enter_context(
                closing(Follower(layout_of(run), run.config.epochs, tensorboard=tensorboard))
            )
            for run in runs
        ]

        def look() -> None:
            for follower in followers:
                # A stage makes a file again at this very moment: at the next look it is there. One
                # that is damaged stops the stages that read it, with a sentence.
                with suppress(UserError, FileNotFoundError):
                    follower.look()

        yield look


def layout_of(run: Run) -> RunLayout:
    """Return the layout of a run of a config."""
    return RunLayout(run.config.results / run.name)


class Follower:
    """Writes the metrics of a run again whenever one of its stages has reported something."""

    def __init__(self, run: RunLayout, epochs: int, *, tensorboard: bool = False) -> None:
        """Begin.

        Args:
            run: layout of the run.
            epochs: of the run.
            tensorboard: write events, too.

        Raises:
            UserError: TensorBoard is not installed.
        """
        self._run, self._epochs = run, epochs
        self._began, self._told = time.time(), False
        self._seen: dict[Path, int] = {}
        self._events = None
        if tensorboard:
            from mprd.report.tables import EventWriter

            self._events = EventWriter(run.events)

    def close(self) -> None:
        """End."""
        if self._events is not None:
            self._events.close()

    def look(self) -> None:
        """Bring the metrics up to date.

        Once the last epoch is trained the table is left to the workflow, which makes the report
        from it.

        Raises:
            UserError: a report is damaged, or gone.
            FileNotFoundError: a report is gone.
        """
        seen = {path: path.stat().st_mtime_ns for path in self._run.reports()}
        trained = self._run.epochs_with("metrics")
        if seen == self._seen or not trained:
            return
        from mprd.stages.table import collect, run_table

        self._tell_time_left(trained)
        if trained[-1] < self._epochs:
            run_table(run=self._run.folder, out=self._run.table)
        if self._events is not None:
            self._events.write(collect(self._run))
        self._seen = seen

    def _tell_time_left(self, trained: list[int]) -> None:
        """Say once how long the other epochs take, when the first one of this workflow ends."""
        from mprd.report.status import seconds_left

        ends = [self._run.epoch(number).metrics.stat().st_mtime for number in trained]
        if self._told or max(ends) < self._began:
            return
        if left := seconds_left(self._run, load_config(self._run.config), self._began):
            self._told = True
            name = self._run.folder.name
            say(f"{name}: about {duration(left)} left for the other epochs", flush=True)
