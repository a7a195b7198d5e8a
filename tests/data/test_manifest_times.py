"""Times and tracks in a manifest."""

import math
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mprd.data.datasets.clock import column
from mprd.errors import UserError
from tests.data.planted import manifest

MARCH = 1_773_476_102.0  # 2026-03-14T08:15:02Z


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["12", "0.5", "-3", "1e3"], [12, 0.5, -3, 1000]),
        (["1773476102", "1773476102.25", "", "-1"], [MARCH, MARCH + 0.25, math.nan, math.nan]),
        (
            ["2026-03-14T08:15:02Z", "2026-03-14 09:15:02+01:00", "20260314T081502Z", "nan"],
            [MARCH, MARCH, MARCH, math.nan],
        ),
        (
            ["2026-03-14T08:15:02", "2026-03-14 08:15:02.5", "2026-03-14", ""],
            [MARCH, MARCH + 0.5, MARCH - 29702, math.nan],
        ),
    ],
)
def test_times_of_a_manifest(cells: list[str], expected: list[float], tmp_path: Path) -> None:
    rows = "".join(f"{name}.png,{cell}\n" for name, cell in zip("abcd", cells, strict=True))
    listing = manifest(tmp_path, f"path,time\n{rows}")
    np.testing.assert_array_equal([record.time for record in listing.records], expected)
    assert listing.time_unit == "seconds"


def test_frames_and_tracks_of_a_manifest(tmp_path: Path) -> None:
    rows = "path,frame,track\na.png,12,t 1\nb.png,,\nc.png,7.0,-1\nd.png,1,NA\n"
    listing = manifest(tmp_path, rows)
    np.testing.assert_array_equal([r.time for r in listing.records], [12, math.nan, 7, 1])
    assert [record.track for record in listing.records] == ["t 1", "", "", ""]
    assert listing.time_unit == "frames"
    assert "1 cells 'NA' of track are taken as unknown." in listing.notes


def test_an_empty_column_of_times(tmp_path: Path) -> None:
    assert manifest(tmp_path, "path,time\na.png,\nb.png,\n").time_unit == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,time\na.png,12\nb.png,2026-03-14T08:15\n",
            r"mixes numbers and dates without a zone: row 2 holds '12', row 3 '2026-03-14T08:15'",
        ),
        (
            "path,time\na.png,\nb.png,2026-03-14T08:15Z\nc.png,2026-03-14T08:15\n",
            r"mixes dates with a zone and dates without a zone: row 3 .*, row 4 .*in one way",
        ),
        ("path,time\na.png,14 March\n", "Row 2 of .*'14 March' is neither a date such as 2026-"),
        ("path,time\na.png,08:15\n", "Row 2 of .*'08:15' is neither a date"),
        ("path,time\na.png,inf\n", "Row 2 of .*'inf' is neither a date"),
        ("path,time\na.png,1773476102000\n", "Row 2 .*too large for seconds: divide milliseconds"),
        ("path,time\na.png,20260314081502\n", "Row 2 .*write a date as 2026-03-14T08:15:02"),
        ("path,frame\na.png,1\nb.png,x\n", "Row 3 of .*the frame 'x' is no number"),
        ("path,time,frame\na.png,1,1\n", "has the columns 'time' and 'frame': keep one"),
        ("path,tim\na.png,1\n", r"unknown column 'tim' \(did you mean 'time'\?\)"),
        (
            "path,camera,track\na.png,gate,1\nb.png,yard,1\n",
            "The track '1' has images of the cameras gate and yard",
        ),
    ],
)
def test_mistakes_in_times_of_a_manifest(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        manifest(tmp_path, text)


@given(
    st.lists(
        st.datetimes(timezones=st.sampled_from([None]) | st.timezones()), min_size=1, max_size=5
    )
)
def test_dates_are_read_or_refused(dates: list) -> None:
    """Any dates of one kind come back in seconds; a mixture is always refused."""
    cells = list(enumerate((date.isoformat() for date in dates), start=2))
    if len({date.tzinfo is None for date in dates}) > 1:
        with pytest.raises(UserError, match="mixes"):
            column(cells, "m.csv")
        return
    found = column(cells, "m.csv")
    for date, seconds in zip(dates, found, strict=True):
        utc = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        assert seconds == pytest.approx(utc.timestamp(), abs=1e-3)


@given(st.text())
def test_no_text_breaks_a_column(text: str) -> None:
    try:
        (found,) = column([(2, text)], "m.csv")
    except UserError:
        return
    assert math.isnan(found) == (text == "")
