"""A few hundred of the inputs that `make test-fuzz` feeds to the readers."""

import time

from tests.faults.fuzz import draw_images, fuzz, made_readers, readers
from tests.faults.fuzz_http import page


def test_rubbish_is_a_result_or_a_sentence(judged_run, tmp_path):
    draw_images(tmp_path)
    kinds = readers(judged_run.folder, tmp_path)
    outcomes = fuzz(kinds, 1, each=12)
    assert sum(outcomes.values()) == 12 * len(kinds)
    for name in kinds:
        assert outcomes[name, "sentence"] > 0, f"no change of {name} was noticed"


def test_files_with_right_checksums_are_a_result_or_a_sentence(judged_run, tmp_path):
    """As a stranger would make them; only HDF5 itself may crash, on bytes that were changed."""
    draw_images(tmp_path)
    kinds = made_readers(judged_run.folder, tmp_path)
    outcomes = fuzz(kinds, 1, each=8)
    for name in kinds:
        assert outcomes[name, "sentence"] > 0, f"no change of {name} was noticed"
        if "resealed" not in name:
            assert outcomes[name, "crash"] + outcomes[name, "hang"] == 0, name


def test_odd_requests_are_answered_or_refused(bare_run, tmp_path):
    with page(bare_run.folder, tmp_path) as served:
        kinds = {"request": (tmp_path / "request", served.read)}
        outcomes = fuzz(kinds, 1, each=200, changes={"request": served.request})
    assert outcomes["request", "sentence"] > 5
    assert outcomes["request", "result"] > 5


def test_the_time_is_shared_by_all_kinds(tmp_path):
    (tmp_path / "a").write_text("x")
    kinds = {name: (tmp_path / "a", lambda _: None) for name in "ab"}
    begin = time.monotonic()
    outcomes = fuzz(kinds, 1, seconds=0.4)
    assert 0.4 <= time.monotonic() - begin < 5
    assert outcomes["a", "result"] > 3
    assert outcomes["b", "result"] > 3
