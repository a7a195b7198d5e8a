"""The figures of a run while it runs: its table, and if wanted TensorBoard's events."""

from pathlib import Path

from mprd.pipeline.layout import RunLayout


class Follower:
    """Writes the figures of a run again whenever one of its stages has reported something."""

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
        self._seen: dict[Path, int] = {}
        self._events = None
        if tensorboard:
            from mprd.report.tensorboard import EventWriter

            self._events = EventWriter(run.events)

    def close(self) -> None:
        """End."""
        if self._events is not None:
            self._events.close()

    def look(self) -> None:
        """Bring the figures up to date.

        Once the last epoch is trained the table is left to the workflow, which makes the report
        from it.

        Raises:
            UserError: a report is damaged.
        """
        from mprd.stages.table import collect, run_table

        reports = self._run.reports()
        seen = {path: path.stat().st_mtime_ns for path in reports}
        trained = self._run.epochs_with("metrics")
        if seen == self._seen or not trained:
            return
        self._seen = seen
        if trained[-1] < self._epochs:
            run_table(run=self._run.folder, out=self._run.table)
        if self._events is not None:
            self._events.write(collect(self._run))
