"""`mprd new`: what is seen of a folder, and the config that follows."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mprd.cli.app import app
from mprd.clustering.from_features import features_config
from mprd.config import load_config
from mprd.data.datasets.walk import walk
from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture
from mprd.pipeline.idle import idle_settings
from mprd.starter.camera_shapes import PATTERNS, camera_names, guess_cameras
from mprd.starter.pace import measured_step, step_seconds
from mprd.starter.recipe import (
    Recipe,
    recipe,
    run_name,
    seconds,
    untrained_seconds,
    write_config,
    write_untrained_config,
)
from mprd.starter.survey import Survey, survey
from mprd.starter.training import EPOCHS, FEW_EPOCHS, SMALL, choose_training
from mprd.system.durations import duration


def draw(root: Path, names: list[str], size: tuple[int, int] = (8, 16)) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(root / name)
    return root


def found(images: int = 250, aspect: float = 2.0, cameras: int = 0, fewest: int = 40) -> Survey:
    names = {str(n): fewest for n in range(cameras)}
    size = {"height": 128, "width": 64, "aspect": aspect}
    return Survey(
        Path("x"),
        tuple(map(str, range(images))),
        kinds={},
        cameras=names,
        pattern=None,
        **size,
        looked_at=images,
        unreadable=(),
    )


@pytest.mark.parametrize(
    ("paths", "pattern"),
    [
        (["cam_a/1/x.jpg", "cam_b/1/y.jpg"] * 4, r"(?:^|[/_.-])cam_([^/_.-]+)"),
        (["Camera1/x.jpg", "Camera12/y.jpg"] * 4, r"(?:^|[/_.-])Camera(\d[^/_.-]*)"),
        (["camA/x.jpg", "camB/y.jpg"] * 4, PATTERNS[0]),
        (["d/0002_c1s1_000451_03.jpg", "d/0002_c3s1_000451_03.jpg"] * 4, r"_c(\d+)s\d+_"),
        (["0001_c2_f1.jpg", "0001_c5_f2.jpg"] * 4, r"(?:^|[/_-])c(\d+)[/_-]"),
    ],
)
def test_cameras_are_guessed(paths, pattern):
    assert guess_cameras(paths) == pattern


@pytest.mark.parametrize(
    "paths",
    [
        ["a/1.jpg", "b/2.jpg"] * 4,  # folders without a word on what they are
        ["cam_a/1.jpg"] * 8,  # one camera
        ["cam_a/1.jpg", "cam_b/1.jpg", "else/1.jpg"] * 4,  # a third has none
        [f"cam_{n}/1.jpg" for n in range(8)],  # each image has one of its own: no cameras
    ],
)
def test_cameras_are_not_guessed_from_little(paths):
    assert guess_cameras(paths) is None


@pytest.mark.parametrize(
    ("seen", "later"),
    [
        (["0001_c2_f1.jpg", "0001_c5_f2.jpg"], ["march/1.jpg", "archive/2.jpg", "x/abc9_1.jpg"]),
        (["cam1/1.jpg", "cam2/1.jpg"], ["camel1/1.jpg", "cameraman2/1.jpg", "webcam3/1.jpg"]),
        (["cam_a/1.jpg", "cam_b/1.jpg"], ["tcam_x/1.jpg", "cam.jpg"]),
        (["Camera1/1.jpg", "Camera2/1.jpg"], ["Camerawork/1.jpg"]),
        (["0002_c1s1_000451_03.jpg", "0002_c3s1_000451_03.jpg"], ["doc9s1/1.jpg", "c4s1.jpg"]),
    ],
)
def test_a_folder_that_comes_later_is_no_camera_of_another_name(seen, later):
    pattern = guess_cameras(seen * 4)
    assert [path for path in later if re.search(pattern, path)] == []
    assert sorted(camera_names(pattern, seen * 4).values()) == [4, 4]


def test_names_of_cameras_are_whole():
    """Spaces, brackets and letters beyond ASCII are part of a name."""
    paths = ["cam_gate (1)/1.jpg", "cam_gate (2)/1.jpg", "cam_Höfe [süd]/1.jpg"] * 4
    pattern = guess_cameras(paths)
    assert set(camera_names(pattern, paths)) == {"gate (1)", "gate (2)", "Höfe [süd]"}


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["batch_cam01/p00_cam03_f001.jpg", "batch_cam02/p00_cam04_f001.jpg"],
            "8 paths name two cameras, first 'batch_cam01/p00_cam03_f001.jpg': '01' counts",
        ),
        (
            ["cam_a/0001_c2_f1.jpg", "cam_b/0001_c2_f1.jpg", "cam_a/0001_c3_f1.jpg"],
            "in 'cam_a/0001_c2_f1.jpg' 'a' counts, not '2'",
        ),
        (["cam_gate-north/1.jpg", "cam_gate-south/1.jpg", "cam_lot/1.jpg"], "3 folders name the"),
        (["cam_a/1.jpg", "cam_b/1.jpg", "else/1.jpg"], "8 of 12 paths name a camera, such as 'a'"),
        (
            ["x__CAM_BACK__1.jpg", "x__CAM_FRONT__1.jpg", "x__CAM_FRONT_LEFT__1.jpg"],
            "'x__CAM_FRONT_LEFT__10.jpg' and 'x__CAM_FRONT__10.jpg' count as one camera, 'FRONT'",
        ),
        (
            ["site_N/Camera_1/1.jpg", "site_N/Camera_2/1.jpg", "site_S/Camera_1/1.jpg"],
            "'site_N/Camera_1' and 'site_S/Camera_1' count as one camera. If these are two",
        ),
        (
            ["north/c1/1.jpg", "north/c2/1.jpg", "south/c1/1.jpg", "south/c2/1.jpg"],
            r"'north/c1' and 'south/c1' count as one camera. If these are two, set data.camera to "
            r"'^(.*/c\\d+)/'",
        ),
        (
            ["StationA__Cam1__x(1).jpg", "StationB__Cam1__x(1).jpg", "StationA__Cam2__x(1).jpg"],
            "count as one camera. If the word before it names a place, set data.camera to "
            r"'(?i)(?:^|/)([^/]*?[_.-]c(?:am(?:era)?[ _-]?)?[^/_.-]+)[^/]*$'",
        ),
        (
            ["a/north-c1-1.jpg", "a/south-c1-1.jpg", "b/south-c2-1.jpg"],
            "'a/north-c1-10.jpg' and 'a/south-c1-10.jpg' count as one camera. If the word before",
        ),
    ],
)
def test_doubts_about_cameras_are_told(paths, message, tmp_path):
    names = [path.replace(".jpg", f"{n}.jpg") for n in range(4) for path in paths]
    notes = survey(draw(tmp_path, names)).notes
    assert any(message in note.replace("f10", "f1").replace("f0010", "f001") for note in notes), (
        notes
    )


def test_the_pattern_that_is_proposed_names_the_places(tmp_path):
    names = [f"{s}__{c}__{n}.jpg" for s in ("A-1", "B") for c in ("Cam1", "Cam2") for n in range(9)]
    (note,) = [one for one in survey(draw(tmp_path, names)).notes if "names a place" in one]
    pattern = note.partition("data.camera to '")[2].removesuffix("'.")
    assert set(camera_names(pattern, names)) == {"A-1__Cam1", "B__Cam1", "A-1__Cam2", "B__Cam2"}


@pytest.mark.parametrize(
    "paths",
    [
        ["0001_c2_f1.jpg", "0002_c2_f1.jpg", "0001_c3_f1.jpg"],  # persons
        ["id7_cam1_1.jpg", "id8_cam1_1.jpg", "id7_cam2_1.jpg"],
        ["x_cam1_1.jpg", "x_cam2_1.jpg", "x_cam3_1.jpg"],
    ],
)
def test_words_before_a_camera_that_are_no_places(tmp_path, paths):
    names = [path.replace(".jpg", f"{n}.jpg") for n in range(4) for path in paths]
    assert not any("count as one" in note for note in survey(draw(tmp_path, names)).notes)


def test_what_is_not_read_is_told(tmp_path):
    draw(tmp_path, [f"cam_{c}/{n}.png" for c in "ab" for n in range(5)])
    for name in ("a.heic", "b.heic", "sub/c.CR2", "readme"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    notes = survey(tmp_path).notes
    assert "4 files are not read (2 .heic, 1 without a suffix, 1 .cr2), first 'a.heic'" in notes[1]
    assert "1 folder is a link, first 'link': not followed" in notes[0]


def test_a_survey(tmp_path):
    draw(tmp_path, [f"cam_{c}/{n}.png" for c in "ab" for n in range(5)])
    draw(tmp_path, ["cam_b/x.jpg"], (10, 10))
    (tmp_path / "cam_a/bad.jpg").write_text("no image")
    seen = survey(tmp_path)
    assert (seen.images, seen.height, seen.width, seen.aspect) == (12, 16, 8, 2.0)
    assert seen.cameras == {"a": 6, "b": 6}
    assert seen.kinds == {".png": 10, ".jpg": 2}
    assert (seen.looked_at, seen.unreadable) == (12, ("cam_a/bad.jpg",))
    assert seen.fewest == 6


def test_a_folder_is_walked_once_and_unreadable_images_are_counted(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "crops", [f"cam_{c}/{n}.png" for c in "ab" for n in range(30)])
    for n in range(3):
        (tmp_path / f"crops/cam_a/bad{n}.jpg").write_text("no image")
    np.save("f.npy", np.eye(63, 8, dtype=np.float32) + 1)
    walked = []
    monkeypatch.setattr(
        "mprd.data.datasets.folder.walk", lambda root: walked.append(root) or walk(root)
    )
    code, said, err = cli("new", "crops", "--features", "f.npy")
    assert code == 0, err
    assert len(walked) == 1
    assert "features in f.npy: 63 images, 8 dimensions" in said
    assert "3 of 63 images looked at cannot be read, such as 'cam_a/bad0.jpg'" in said


def test_no_folder_no_images(tmp_path):
    with pytest.raises(UserError, match="none does not exist"):
        survey(tmp_path / "none")
    with pytest.raises(UserError, match="no images"):
        survey(tmp_path)
    (tmp_path / "a.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"None of the images .* can be read, such as 'a.jpg'"):
        survey(tmp_path)


@pytest.mark.parametrize("images", [2, 9, 30, 250, 13_000, 1_000_000])
@pytest.mark.parametrize("aspect", [0.3, 1.0, 2.2])
@pytest.mark.parametrize("cameras", [0, 6])
def test_every_recipe_is_a_valid_config(images, aspect, cameras, tmp_path):
    seen = found(images, aspect, cameras)
    plan = recipe(seen)
    out = tmp_path / "x.yaml"
    write_config(out, seen, plan, "1 minute")
    config = load_config(out)
    assert (config.data.height, config.data.width) == (plan.height, plan.width)
    assert (aspect > 1) == (plan.height > plan.width) or aspect == 1
    if images < SMALL:  # trained a little, from the clusters of the start
        defaults = features_config(several_cameras=cameras > 1)
        assert (config.graph, config.cluster) == (defaults.graph, defaults.cluster)
        assert (config.use_gcn, config.train.member_weights) == (False, False)
    else:
        assert config.graph.cameras == ("standardize" if cameras else "none")
        assert config.cluster.method == "community"
        assert config.use_gcn
    assert config.train.memory == ("camera" if cameras else "cluster")
    assert config.train.iters == plan.iters
    assert config.graph.backend == ("ivf" if images > 200_000 else "auto")


@pytest.mark.parametrize("images", [2, 283, 1999])
@pytest.mark.parametrize("cameras", [0, 6])
def test_a_config_without_training(images, cameras, tmp_path):
    seen, out = found(images, cameras=cameras), tmp_path / "x.yaml"
    write_untrained_config(
        out, seen, (128, 64), "1 minute", choose_training(images, "imagenet").why
    )
    config, defaults = load_config(out), features_config(several_cameras=cameras > 1)
    assert config.epochs == 0
    assert (config.graph, config.cluster) == (defaults.graph, defaults.cluster)
    assert (config.data.height, config.data.width) == (128, 64)
    assert idle_settings([config]) == []
    assert "mprd new FOLDER --train --out NEW.yaml" in out.read_text()
    assert untrained_seconds(seen, (128, 64), 2, rate=None) < 120


def test_training_is_chosen_by_what_was_measured():
    chosen = {
        (kind, images): choose_training(images, kind)
        for kind in ("imagenet", "weights", "published")
        for images in (79, 80, 1999, 12_936)
    }
    epochs = [choice.epochs for choice in chosen.values()]
    assert epochs == [0, 6, 6, 20, 0, 6, 6, 20, 0, 0, 0, 20]
    assert "25 people" in chosen["imagenet", 80].why
    assert "was not measured below 80 images" in chosen["weights", 79].why
    assert "was not measured with such networks" in chosen["published", 1999].why
    assert "12,936 images" in chosen["imagenet", 12_936].why
    assert "was not measured" in chosen["weights", 12_936].why
    for images, epochs in ((8, FEW_EPOCHS), (12_936, EPOCHS)):
        assert choose_training(images, "published", wanted=True).epochs == epochs
        refused = choose_training(images, "imagenet", wanted=False)
        assert (refused.epochs, refused.unmeasured) == (0, False)
    told = [choice.unmeasured for choice in chosen.values()]
    assert told == [True, False, False, False] * 2 + [True, True, True, False]


def test_few_images_of_a_camera_are_centred():
    assert recipe(found(cameras=2, fewest=10)).alignment == "center"


def test_a_small_set_takes_minutes():
    seen = found(250, cameras=6)
    assert seconds(recipe(seen), seen, step=0.4) < 15 * 60
    large = found(13_000, cameras=6)
    assert seconds(recipe(large), large, 0.4) > 5 * seconds(recipe(large), large, 0.02)


def test_a_step_of_the_network_is_measured():
    plan = recipe(found(), (32, 32))
    shape = Architecture("mini", "gem", 16, 32, 32)
    few, many = (min(step_seconds(shape, batch) for _ in range(3)) for batch in (8, 64))
    assert 0 < few < many
    assert measured_step(plan, None) > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [(1, "1 minute"), (400, "7 minutes"), (3 * 3600, "3 hours"), (4 * 86400, "4 days")],
)
def test_durations(given, words):
    assert duration(given) == words


@pytest.mark.parametrize(
    "name", ["cam: 1 # x", "a'b\"c", "- x", "näch\nste", "{{ 7 * 7 }}", "yes", "%a"]
)
def test_any_folder_name_is_quoted(name, tmp_path):
    root = draw(tmp_path / name, [f"cam_{c}/{n}.png" for c in "ab" for n in range(3)])
    seen = survey(root)
    write_config(tmp_path / "x.yaml", seen, recipe(seen), "1 minute")
    assert load_config(tmp_path / "x.yaml").data.root == root
    write_untrained_config(tmp_path / "y.yaml", seen, (128, 64), "1 minute", "few images")
    assert load_config(tmp_path / "y.yaml").data.root == root


@pytest.mark.parametrize("name", ["2024", "on", "null", "0x1", "Sub_Dir"])
def test_any_name_of_a_run_is_a_name(name, tmp_path):
    seen = found()
    out = tmp_path / f"{name}.yaml"
    write_config(out, seen, recipe(seen), "1 minute")
    assert list(load_config(out).runs) == [run_name(out)]
    assert f"mprd run {out} " in out.read_text()


def test_run_names_are_plain():
    assert run_name(Path("My crops (2)")) == "my-crops-2"
    assert run_name(Path("äö")) == "own"


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = draw(tmp_path / "Lions", [f"cam{c}/{n}.png" for c in "12" for n in range(4)])
    done = CliRunner().invoke(app, ["new", str(root)], catch_exceptions=False)
    assert "cameras in their paths: 2, with images: 1 (4), 2 (4)" in done.output
    assert "mprd run lions.yaml" in done.output
    assert (
        "8 images: no training, the clusters of the start features (training was not" in done.output
    )
    assert load_config(Path("lions.yaml")).epochs == 0
    assert load_config(Path("lions.yaml")).data.camera == r"(?:^|[/_.-])cam(\d[^/_.-]*)"
    before = Path("lions.yaml").read_text()
    with pytest.raises(UserError, match=r"lions.yaml exists"):
        CliRunner().invoke(app, ["new", str(root)], catch_exceptions=False)
    assert Path("lions.yaml").read_text() == before
    asked = ["new", str(root), "--train", "--out", "trained.yaml"]
    assert "8 images: 6 epochs, as --train asks" in CliRunner().invoke(app, asked).output
    assert load_config(Path("trained.yaml")).epochs == FEW_EPOCHS


def test_recipe_fields_are_all_used(tmp_path):
    """Each choice stands in the file: none is made for nothing."""
    template = Path(__file__).parents[2] / "mprd/starter/templates/config.yaml.j2"
    used = template.read_text()
    names = {"alignment", *Recipe.__dataclass_fields__}
    assert [name for name in names if f"plan.{name}" not in used] == []


def test_features_in_place_of_a_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "own", [f"{number}.jpg" for number in range(6)])
    np.save("f.npy", np.eye(6, 8, dtype=np.float32))
    asked = ["new", "own", "--features", "f.npy"]
    done = CliRunner().invoke(app, [*asked, "--weights", "w.pth"])
    assert "give one of them" in str(done.exception)
    done = CliRunner().invoke(app, [*asked, "--train"])
    assert "--train needs a network" in str(done.exception)
    np.save("short.npy", np.eye(5, 8, dtype=np.float32))
    done = CliRunner().invoke(app, ["new", "own", "--features", "short.npy"])
    assert "has 5 rows and no paths, for 6 images" in str(done.exception)
    assert not Path("own.yaml").exists()
    done = CliRunner().invoke(app, asked)
    assert "features in f.npy: 6 images, 8 dimensions" in done.output
    config, defaults = load_config(Path("own.yaml")), features_config()
    assert (config.epochs, config.data.features) == (0, Path("f.npy"))
    assert (config.graph, config.cluster) == (defaults.graph, defaults.cluster)
    assert not idle_settings([config])
