"""`mprd add`: new images come to a finished run; its clusters, numbers and decisions stay."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, read_artifact, write_artifact
from mprd.cli import redo
from mprd.config import load_config
from mprd.data.added import stored
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.stages import add
from tests.later import PEOPLE, shoot
from tests.stages.pipeline import changed, finish


def table(run) -> pd.DataFrame:
    return pd.read_csv(run.final.table, keep_default_na=False)


def clusters(run) -> pd.Series:
    """The number of each image by the name of its file."""
    found = table(run)
    return pd.Series(found["cluster"].to_numpy(), found["path"].str.split("/").str[-1])


def of(found, who):
    return {int(n) for name, n in found.items() if f"-{who}-" in name}


def paths(run, who):
    return tuple(path for path in table(run)["path"] if f"-{who}-" in path)


def images(run):
    return read_artifact(run.index, INDEX).attributes["root"]


def test_known_people_keep_their_clusters_and_strangers_get_new_numbers(later, cli, tmp_path):
    before = later.final.table.read_bytes()
    old = clusters(later)
    earlier = pd.read_csv(later.final.table)
    earlier.loc[0, "cluster"] = 40
    earlier.to_csv(later.final.table.with_name("clusters.1.csv"), index=False)
    code, said, err = cli("add", later.folder, tmp_path / "new")
    assert code == 0, err
    now = clusters(later)
    assert now[old.index].equals(old)
    assert [of(now, who) for who in (0, 1)] == [of(old, who) for who in (0, 1)]
    assert of(now, 20) | of(now, 21) == {41, 42}, "40 was in an earlier table"
    assert len(of(now, 20)) == 1
    assert "12 images added to" in said
    assert "6 in clusters that were there, 6 in 2 new clusters (41, 42), 0 in none." in said
    assert f"mprd browse {later.folder}" in said
    (tmp_path / "before.csv").write_bytes(before)
    same = json.loads(cli("diff", later.final.table, later.folder, "--json")[1])
    assert (same["moved"], same["only_in"]) == (0, [0, 0])
    more = json.loads(cli("diff", tmp_path / "before.csv", later.folder, "--json")[1])
    assert (more["moved"], more["only_in"]) == (0, [0, 12])
    kept = later.final.table.with_name("clusters.1.csv")
    assert kept.read_bytes() == before
    assert later.final.table.with_name("clusters.2.csv").is_file()
    assert table(later)["added"].tolist() == [0] * len(old) + [1] * 12
    assert set(table(later)["camera"]) == {"c1", "c2"}

    # Once more, with copies: it is said, and nothing is there twice.
    shutil.copytree(tmp_path / "new", tmp_path / "new/again")
    whole = later.final.table.read_bytes()
    code, said, _ = cli("add", later.folder, tmp_path / "new", images(later))
    assert code == 0
    assert "24 images are added already, as the same file, and left as they are" in said
    assert f"{PEOPLE * 6} images are in the run already, as the same file" in said
    assert "No image is new; 12 were added to the run so far." in said
    assert later.final.table.read_bytes() == whole
    for copy in ("a.png", "b.png"):
        shutil.copy(shoot(tmp_path / "more", 22, [1])[0], tmp_path / "more" / copy)
    code, said, _ = cli("add", later.folder, tmp_path / "more")
    assert "2 images are twice among these images" in said
    assert "1 image added" in said
    assert "0 in none" not in said

    # Taken back, the last ones first.
    said = cli("add", later.folder, "--undo")[1]
    assert "1 added image taken back, 12 that came before stay." in said
    assert later.final.table.read_bytes() == whole
    assert "12 added images taken back, 0 that" in cli("add", later.folder, "--undo")[1]
    assert later.final.table.read_bytes() == before
    code, _, err = cli("add", later.folder, "--undo")
    assert (code, "has no added images" in err) == (2, True)
    cli("add", later.folder, tmp_path / "more")
    cli("add", later.folder, shoot(tmp_path / "both", 22, [2, 3])[0].parent)
    assert min(of(clusters(later), 22) - {-1}) > 42, "a number comes once"


def test_the_order_does_not_count(later, cli, tmp_path):
    files = sorted((tmp_path / "new").iterdir())
    for part in (files[::3], files[1::3], files[2::3]):
        assert cli("add", later.folder, *part)[0] == 0
    one = clusters(later)
    for _ in range(3):
        assert cli("add", later.folder, "--undo")[0] == 0
    assert cli("add", later.folder, tmp_path / "new")[0] == 0
    both = clusters(later)[one.index]
    assert pd.crosstab(one, both).astype(bool).sum().max() == 1
    assert of(one, 0) == of(both, 0)


def test_decisions_hold(later, cli, tmp_path):
    assert cli("add", later.folder, tmp_path / "new")[0] == 0
    start = clusters(later)
    log = DecisionLog(later.decisions)
    a, stranger = paths(later, 0), paths(later, 20)
    (number,), (other,) = of(start, 20), of(start, 21)
    log.append(Decision(Kind.RENAME, stranger, value="Ann"))
    new = log.append(Decision(Kind.NEW, (a[-1],), a[:-1]))
    log.append(Decision(Kind.MOVE, paths(later, 21), paths(later, 3)))
    code, _, err = cli("apply", later.folder)
    assert code == 0, err
    now = table(later).set_index("path")
    assert set(now.loc[list(stranger), "name"]) == {"Ann"}
    assert set(now.loc[list(stranger), "cluster"]) == {number}
    assert now.loc[a[-1], "cluster"] > max(start)
    assert of(clusters(later), 21) == of(start, 3)
    bytes_now = later.final.table.read_bytes()
    assert "0 images changed" in cli("apply", later.folder)[1]
    assert later.final.table.read_bytes() == bytes_now

    # What comes later finds them as they are; what was decided stays.
    shoot(tmp_path / "more", 20, [20, 21])
    assert cli("add", later.folder, tmp_path / "more")[0] == 0
    found = table(later).set_index("path")
    assert of(clusters(later), 20) == {number}
    assert found.loc[now.index, ["cluster", "name"]].equals(now[["cluster", "name"]])
    assert set(found[found["cluster"] == number]["name"]) == {"Ann"}
    # Taken back: the numbers that they had.
    for entry in [one.entry for one in log.entries]:
        log.undo(entry)
    assert new.entry == 2
    assert cli("apply", later.folder)[0] == 0
    assert clusters(later)[start.index].equals(start)
    assert of(clusters(later), 21) == {other}


def test_a_stranger_of_the_run_joins_strangers_that_came(later, cli, tmp_path):
    """An outlier of the run belongs to a cluster that only added images have."""
    assert cli("add", later.folder, tmp_path / "new")[0] == 0
    start = clusters(later)
    (number,) = of(start, 20)
    one, rest = paths(later, 2)[0], paths(later, 2)[1:]
    log = DecisionLog(later.decisions)
    log.append(Decision(Kind.MOVE, (one,), paths(later, 20)))
    assert cli("apply", later.folder)[0] == 0
    now = table(later).set_index("path")["cluster"]
    assert {now[path] for path in (one, *paths(later, 20))} == {number}
    assert {now[path] for path in rest} == of(start, 2)
    # Two clusters of the run are one, because an added image is in both.
    (b, c), x = (paths(later, who)[0] for who in (3, 4)), paths(later, 21)[0]
    log.extend([Decision(Kind.SAME, (b,), (x,)), Decision(Kind.SAME, (x,), (c,))])
    assert cli("apply", later.folder)[0] == 0
    now = table(later).set_index("path")["cluster"]
    assert now[b] == now[c] == now[x] == now[paths(later, 4)[-1]]
    log.append(Decision(Kind.DIFFERENT, (b,), (c,)))
    before = later.final.table.read_bytes()
    code, _, err = cli("add", later.folder, tmp_path / "new")
    assert (code, "contradict each other" in err) == (2, True)
    assert later.final.table.read_bytes() == before


def test_what_cannot_be_read_is_said(later, cli, tmp_path):
    (tmp_path / "new/broken.png").write_bytes(b"\x89PNG nothing")
    before = later.final.table.read_bytes()
    code, _, err = cli("add", later.folder, tmp_path / "new")
    assert code == 2
    assert "broken.png" in err
    assert "--skip-unreadable" in err
    assert (later.final.table.read_bytes(), later.final.added.exists()) == (before, False)
    code, said, err = cli("add", later.folder, tmp_path / "new", "--skip-unreadable")
    assert (code, "12 images added" in said) == (0, True)
    assert "left out" in err
    assert "broken.png" in err
    Image.new("RGB", (16, 32)).save(tmp_path / "new/c1-0-10.png")
    code, _, err = cli("add", later.folder, tmp_path / "new", "--skip-unreadable")
    assert code == 2
    assert "its file was changed since" in err
    code, _, err = cli("add", later.folder)
    assert code == 0, "those from before once more"
    code, _, err = cli("add", later.folder, tmp_path / "nowhere")
    assert code == 2
    later.final.clusters.unlink()
    code, _, err = cli("add", later.folder, tmp_path / "new")
    assert (code, "is not finished" in err) == (2, True)


def test_cameras_and_places(later, cli, tmp_path):
    (file,) = shoot(tmp_path / "far", 0, [30])
    file.rename(file.with_name("c9-0-30.png"))
    code, said, _ = cli("add", later.folder, tmp_path / "far")
    assert (code, "1 image is of cameras that the run does not know (c9)" in said) == (0, True)
    assert table(later)["camera"].tolist()[-1] == "c9"
    shutil.move(shoot(tmp_path / "plain", 1, [31])[0], tmp_path / "plain/x.png")
    (tmp_path / "plain/list.csv").write_text("path,camera\nx.png,c2\n")
    code, said, err = cli("add", later.folder, tmp_path / "plain/list.csv")
    assert (code, "note" in said) == (0, False), err
    assert table(later).iloc[-1][["cluster", "camera"]].tolist() == [1, "c2"]
    # Inside the folder of the run's images, paths are like theirs.
    inside = shoot(later.folder.parent / "images/day2", 2, [40])
    index = read_artifact(later.index, INDEX)
    shutil.copytree(images(later), tmp_path / "images", dirs_exist_ok=True)
    attributes = index.attributes | {"root": str(tmp_path / "images")}
    later.index.unlink()
    write_artifact(later.index, INDEX, index.arrays, config={}, inputs={}, attributes=attributes)
    assert cli("add", later.folder, inside[0].parent)[0] == 0
    assert table(later)["path"].tolist()[-1] == f"day2/{inside[0].name}"


def test_every_reader_has_them(later, cli, tmp_path):
    assert cli("add", later.folder, tmp_path / "new")[0] == 0
    numbers = clusters(later)
    assert "added since (mprd add): 12 images" in cli("status", later.folder)[1]
    assert json.loads(cli("status", later.folder, "--json")[1])["added"] == 12
    code, said, err = cli("export-to", later.folder, "csv", "--out", tmp_path / "out")
    assert (code, f"{PEOPLE + 2} identities" in said) == (0, True), err
    given = pd.read_csv(tmp_path / "out/identities.csv")
    assert given["cluster"].tolist() == numbers.tolist()
    assert cli("export-to", later.folder, "folders", "--out", tmp_path / "folders")[0] == 0
    assert len(list((tmp_path / "folders").glob("*/*"))) == len(numbers)
    # One more stranger of the two finds those that came before.
    query = shoot(tmp_path / "query", 20, [50])[0]
    code, said, err = cli("assign", query, "--run", later.folder)
    assert code == 0, err
    assert {int(said.splitlines()[1].split(",")[1])} == of(numbers, 20)
    code, said, err = cli(
        *("search", query, "--model", later.final.model, "--gallery", later.final.embeddings),
        *("--top", 3, "--json"),
    )
    assert code == 0, err
    assert all("-20-" in one["path"] for one in json.loads(said)[str(query)])
    # Names that were given elsewhere come back.
    given.loc[given["path"].str.contains("-20-"), "identity"] = "Ann"
    given[["path", "identity"]].to_csv(tmp_path / "given.csv", index=False)
    code, said, err = cli("import", later.folder, tmp_path / "given.csv")
    assert (code, "not in this run" in said) == (0, False), err
    assert cli("apply", later.folder)[0] == 0
    found = table(later)
    assert set(found[found["path"].str.contains("-20-")]["name"]) == {"Ann"}


def written_again(old, inputs):
    """Write clusters as if they were made from other files."""
    about = {"config": {}, "inputs": inputs, "attributes": old.attributes}
    write_artifact(old.path, CLUSTERS, old.arrays, **about)


def test_a_run_that_was_made_again_waits(later, cli, tmp_path):
    assert cli("add", later.folder, tmp_path / "new")[0] == 0
    whole = later.final.table.read_bytes()
    old = read_artifact(later.final.clusters, CLUSTERS)
    inputs = old.inputs | {"features": "0" * 64}
    written_again(old, inputs)
    said = cli("status", later.folder)[1]
    assert "12 of them wait for `mprd add`" in said
    code, _, err = cli("export-to", later.folder, "csv", "--out", tmp_path / "out")
    assert (code, f"assigned anew by: mprd add {later.folder}" in err) == (0, True)
    assert len(pd.read_csv(tmp_path / "out/identities.csv")) == PEOPLE * 6
    code, said, err = cli("add", later.folder)
    assert (code, "No image is new; 12 were added" in said) == (0, True), err
    assert later.final.table.read_bytes() == whole
    # Their files come into the folder of the run: they are images of it then.
    index = read_artifact(later.index, INDEX)
    sums, added = index["sha256"].copy(), stored(later.final)[0]
    sums[:2] = added["sha256"][:2]
    later.index.unlink()
    arrays = index.arrays | {"sha256": sums}
    attributes = index.attributes
    write_artifact(later.index, INDEX, arrays, config={}, inputs={}, attributes=attributes)
    index = read_artifact(later.index, INDEX)
    written_again(old, inputs | {"index": index.digest})
    code, said, err = cli("add", later.folder)
    assert (code, "2 images that you added are images of the run now" in said) == (0, True), err
    assert len(stored(later.final)[0]) == 10


def test_a_kill_between_two_files_loses_nothing(later, cli, tmp_path, monkeypatch):
    before = later.final.table.read_bytes()

    class Kill(BaseException):
        pass

    def killed(*_, **__):
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(add, "write_final_tables", killed)
        with pytest.raises(Kill):
            add.add_images(later.folder, [tmp_path / "new"])
    assert later.final.table.read_bytes() == before
    code, said, _ = cli("add", later.folder, tmp_path / "new")
    assert (code, "12 images are added already" in said) == (0, True)
    assert len(table(later)) == PEOPLE * 6 + 12
    assert later.final.table.with_name("clusters.1.csv").read_bytes() == before


def test_features_of_another_network(later, cli, tmp_path):
    own = read_artifact(later.final.features, FEATURES)["features"]
    np.save(tmp_path / "own.npy", own)
    values = yaml.safe_load(later.config.read_text())
    values["data"]["features"] = str(tmp_path / "own.npy")
    later.config.write_text(yaml.safe_dump(values))
    later.final.model.unlink()
    code, _, err = cli("add", later.folder, tmp_path / "new")
    assert code == 2
    assert "name the file with --features" in err
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    centers = {str(who): own[6 * who] for who in range(PEOPLE)}
    rng = np.random.default_rng(0)
    strangers = dict(zip(("20", "21"), rng.normal(size=(2, own.shape[1])), strict=True))
    given = [(centers | strangers)[name.split("-")[1]] for name in names]
    np.save(tmp_path / "new.npy", np.array(given, np.float32))
    code, said, err = cli("add", later.folder, tmp_path / "new", "--features", tmp_path / "new.npy")
    assert (code, "12 images added" in said) == (0, True), err
    assert of(clusters(later), 0) == {0}
    code, _, err = cli("add", later.folder, "--undo", "--features", tmp_path / "new.npy")
    assert (code, "name no others" in err) == (2, True)


def test_added_images_come_into_the_run(later, cli, tmp_path):
    assert cli("add", later.folder, tmp_path / "new")[0] == 0
    log = DecisionLog(later.decisions)
    log.append(Decision(Kind.RENAME, paths(later, 20), value="Ann"))
    before = clusters(later)
    shutil.copytree(images(later), tmp_path / "all", dirs_exist_ok=True)
    for who in (1, 20, 21):
        shoot(tmp_path / "all/new", who, range(10, 13))
    config = changed(load_config(later.config), data={"root": str(tmp_path / "all")})
    (line,) = redo.added_lines(later, config)
    assert "9 images that you added (mprd add) become images of the run, 3 others wait" in line
    finish(later.folder, config)
    now = clusters(later)
    assert len(now) == PEOPLE * 6 + 9
    assert [of(now, who) for who in (20, 21)] == [of(before, who) for who in (20, 21)]
    assert set(table(later).set_index("path").loc[list(paths(later, 20)), "name"]) == {"Ann"}
    code, said, err = cli("add", later.folder)
    assert code == 0, err
    assert "9 images that you added are images of the run now" in said
    assert "No image is new; 3 were added" in said
    assert of(clusters(later), 0) == of(before, 0)
