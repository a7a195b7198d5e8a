"""The metrics of a run as TensorBoard events (the extra `tracking`)."""

from pathlib import Path

import pandas as pd

from mprd.errors import UserError
from mprd.report.columns import COLUMNS


class EventWriter:
    """Scalars of the epochs, each written once, into a folder that is emptied of older events."""

    def __init__(self, folder: Path) -> None:
        """Begin anew.

        Args:
            folder: of the events of one run; made if it is not there.

        Raises:
            UserError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("TensorBoard is missing. Run: pip install 'mprd[tracking]'") from None
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder))
        self._written: set[tuple[str, str]] = set()

    def close(self) -> None:
        """End."""
        self._writer.close()

    def write(self, table: pd.DataFrame) -> None:
        """Write what is new.

        Args:
            table: as in `metrics.csv`; rows of baselines are passed over, the initial model is
                step 0.
        """
        for row in table.to_dict("records"):
            model = "0" if row["model"] == "init" else str(row["model"])
            if not model.isdecimal():
                continue
            for column in COLUMNS:
                value = row[column.name]
                if (model, column.name) not in self._written and pd.notna(value):
                    tag = f"{column.source.name.lower()}/{column.name}"
                    self._writer.add_scalar(tag, float(value), int(model))
                    self._written.add((model, column.name))
        self._writer.flush()
