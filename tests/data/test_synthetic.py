"""The synthetic data set: deterministic, complete, hard in the ways it claims."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mprd.config import SyntheticConfig
from mprd.data.datasets import read_dataset
from mprd.data.synthetic.dataset import generate
from mprd.data.synthetic.figure import Pose, draw_figure
from mprd.data.synthetic.people import draw_person
from mprd.errors import UserError

VALUES = {
    "seed": 3,
    "train_identities": 6,
    "test_identities": 4,
    "cameras": 3,
    "min_images": 1,
    "max_images": 2,
    "distractors": 5,
}
SMALL = SyntheticConfig(**VALUES)
SIZE = {"height": 64, "width": 32}
NAME = re.compile(r"(\d{4})_c(\d)s1_\d{6}_\d{2}\.jpg")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.jpg"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    assert generate(SMALL, folder, **SIZE) == len(contents(folder))
    return folder


def test_same_seed_gives_same_bytes_with_any_number_of_workers(made: Path, tmp_path: Path) -> None:
    generate(SMALL, tmp_path / "again", threads=2, **SIZE)
    assert contents(tmp_path / "again") == contents(made)


def test_another_seed_gives_other_images(made: Path, tmp_path: Path) -> None:
    generate(SyntheticConfig(**VALUES | {"seed": 4}), tmp_path / "other", **SIZE)
    other, mine = contents(tmp_path / "other"), contents(made)
    assert other.keys() != mine.keys()
    assert not set(other.values()) & set(mine.values())


def test_more_identities_leave_the_first_ones_as_they_are(made: Path, tmp_path: Path) -> None:
    generate(SyntheticConfig(**VALUES | {"train_identities": 8}), tmp_path / "more", **SIZE)
    mine, more = contents(made), contents(tmp_path / "more")
    train = [name for name in mine if name.startswith("bounding_box_train")]
    assert train
    assert all(mine[name] == more[name] for name in train)
    assert len([name for name in more if name.startswith("bounding_box_train")]) > len(train)


def test_names_counts_and_sizes(made: Path) -> None:
    images = defaultdict(list)
    for path in made.rglob("*.jpg"):
        match = NAME.fullmatch(path.name)
        assert match, path.name
        assert Image.open(path).size == (SIZE["width"], SIZE["height"])
        images[path.parent.name].append((int(match[1]), int(match[2])))
    assert {who for who, _ in images["bounding_box_train"]} == set(range(1, 7))
    assert {who for who, _ in images["query"]} == set(range(7, 11))
    assert {who for who, _ in images["bounding_box_test"]} == {0, *range(7, 11)}
    assert sum(who == 0 for who, _ in images["bounding_box_test"]) == SMALL.distractors
    assert {camera for group in images.values() for _, camera in group} == {1, 2, 3}
    assert len(set(images["query"])) == len(images["query"]), "one query per identity and camera"


def test_every_query_has_a_match_in_another_camera(made: Path) -> None:
    listing = read_dataset("synthetic", made)
    gallery = {(r.identity, r.camera) for r in listing.records if r.split == "gallery"}
    queries = [r for r in listing.records if r.split == "query"]
    assert queries
    for query in queries:
        assert any(w == query.identity and c != query.camera for w, c in gallery)


def test_images_of_one_person_in_one_camera_differ(tmp_path: Path) -> None:
    generate(SyntheticConfig(**VALUES | {"min_images": 2}), tmp_path / "pairs", **SIZE)
    shots = defaultdict(list)
    for path in (tmp_path / "pairs" / "bounding_box_train").iterdir():
        match = NAME.fullmatch(path.name)
        assert match
        shots[match.groups()].append(np.asarray(Image.open(path), dtype=int))
    assert all(np.abs(a - b).mean() > 8 for a, b in shots.values())


def test_a_full_folder_is_left_alone(made: Path) -> None:
    before = contents(made)
    with pytest.raises(UserError, match="exists and is not empty"):
        generate(SMALL, made, **SIZE)
    assert contents(made) == before


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        generate(SMALL, tmp_path / "broken", **SIZE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"train_identities": 0}, "identities"),
        ({"cameras": 1}, "cameras"),
        ({"min_images": 3, "max_images": 2}, "min_images is above max_images"),
        ({"camera_presence": 1.5}, "camera_presence"),
        ({"look_alike": -0.1}, "look_alike"),
        ({"occlusion": 2.0}, "occlusion"),
        ({"distractors": -1}, "distractors"),
    ],
)
def test_values_out_of_range(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticConfig(**VALUES | change)


def test_too_small_to_show_a_person(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 x 8"):
        generate(SMALL, tmp_path / "tiny", height=4)
    assert not (tmp_path / "tiny").exists()


def test_any_pose_can_be_drawn() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        pose = Pose(float(rng.uniform(0, 7)), float(rng.uniform(-1, 1)), float(rng.normal(0, 2)))
        figure = draw_figure(draw_person(rng), pose, 32, 64)
        assert np.asarray(figure)[..., 3].any()
