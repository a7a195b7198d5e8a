"""A few hundred of the inputs that `make test-fuzz` feeds to the readers."""

from tests.faults.fuzz import draw_images, fuzz, made_readers, readers


def test_rubbish_is_a_result_or_a_sentence(judged_run, tmp_path):
    draw_images(tmp_path)
    kinds = readers(judged_run.folder, tmp_path)
    outcomes = fuzz(kinds, 12 * len(kinds), seed=1)
    assert sum(outcomes.values()) == 12 * len(kinds)
    for name in kinds:
        assert outcomes[name, "sentence"] > 0, f"no change of {name} was noticed"


def test_files_with_right_checksums_are_a_result_or_a_sentence(judged_run, tmp_path):
    """As a stranger would make them; only HDF5 itself may crash, on bytes that were changed."""
    draw_images(tmp_path)
    kinds = made_readers(judged_run.folder, tmp_path)
    outcomes = fuzz(kinds, 8 * len(kinds), seed=1)
    for name in kinds:
        assert outcomes[name, "sentence"] > 0, f"no change of {name} was noticed"
        if "resealed" not in name:
            assert outcomes[name, "crash"] + outcomes[name, "hang"] == 0, name
