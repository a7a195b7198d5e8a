"""What decides the result of a stage, by name: settings, code, and the contents of own files."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mprd.config import Config, merge, validate
from mprd.data.datasets.fingerprint import data_fingerprint
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.pipeline import provenance as module
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.provenance import Provenance
from mprd.pipeline.stages import STAGES
from tests.stages.pipeline import GCN, changed

JUDGED = merge(GCN, {"cluster": {"method": "community", "relation": "judged", "gamma": 0.1}})
NETWORK = {"init", "features", "final features", "train", "evaluate", "export"}


def provenance(config: Config, run: Path = Path("results/tiny")) -> Provenance:
    return Provenance(config, RunLayout(run), data_fingerprint)


def names(config: Config) -> dict[str, str]:
    """Stage -> name of its provenance, in an epoch and at the end, and keys of shared folders."""
    found, stages = provenance(config), [one for one in STAGES if one.exists(config)]
    paths = {one.name: found.path(one.name).name for one in stages}
    paths |= {f"final {one.name}": found.path(one.name, final=True).name for one in stages}
    return {name: path for name, path in paths.items() if path != paths.get(name[6:])}


def touched(before: Config, after: Config) -> set[str]:
    """Stages whose provenance differs; the page that shows all settings is left out."""
    old, new = names(before), names(after)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]} - {"report"}


def test_a_log_without_decisions_changes_nothing(tmp_path):
    def path() -> str:
        return provenance(validate({}, ""), tmp_path).path("cluster", final=True).name

    before, log = path(), DecisionLog(RunLayout(tmp_path).decisions)
    assert path() == before
    log.append(Decision(Kind.SAME, ("a.png",), ("b.png",)))
    assert path() != before


@pytest.mark.parametrize(
    ("base", "change", "stages"),
    [
        ({}, {"train": {"lr": 0.1}}, {"train"}),
        ({}, {"train": {"use_ppa": False}}, {"train"}),
        ({}, {"train": {"across_weight": 0.1}}, set()),
        ({}, {"graph": {"k1": 7}}, {"graph"}),
        ({}, {"graph": {"search_memory_mb": 7}}, set()),
        ({}, {"cluster": {"eps": 0.5}}, {"cluster", "final cluster"}),
        ({}, {"cluster": {"gamma": 0.5}}, set()),
        # The export gives images that were added to clusters, by the code of the method.
        ({}, {"cluster": {"method": "community"}}, {"cluster", "final cluster", "export"}),
        ({}, {"features": {"dtype": "float16"}}, {"features", "final features", "export"}),
        ({}, {"precision": "bfloat16"}, NETWORK),
        ({}, {"seed": 5}, {"init", "train", "evaluate"}),
        ({}, {"augment": {"flip": 0.1}}, {"init", "train"}),
        ({}, {"augment": {"pad": 3}}, {"train"}),
        ({}, {"init": {"warmup": {"steps": 2}}}, {"init"}),
        ({}, {"evaluate": {"flip": True}}, {"evaluate"}),
        ({}, {"evaluate": {"every": 2}}, {"table"}),
        ({}, {"epochs": 9}, {"table", "final features"}),
        ({}, {"data": {"height": 64}}, {"pixels"}),
        ({}, {"data": {"on_bad_image": "skip"}}, {"index"}),
        ({}, {"model": {"pooling": "avg"}}, {"init", "evaluate"}),
        ({}, {"gcn": {"batch": 8}}, set()),
        ({}, {"export": {"numbers": "missing.csv"}}, {"final cluster"}),
        ({}, {"device": "auto", "processes": 1, "epochs_per_job": 3, "results": "there"}, set()),
        ({}, {"keep": "last"}, set()),
        (GCN, {"gcn": {"batch": 8}}, {"pretrain", "learn"}),
        (GCN, {"gcn": {"update": {"metadata": 3}}}, {"learn"}),
        (GCN, {"gcn": {"neighbors": 4}}, {"pretrain", "train", "learn"}),
        (GCN, {"gcn": {"metadata": {"images": 4}}}, {"metadata"}),
        (GCN, {"gcn": {"network": "gatv2"}}, {"pretrain", "train", "learn"}),
        (JUDGED, {"cluster": {"gamma": 0.2}}, {"cluster", "final cluster"}),
        (JUDGED, {"cluster": {"min_size": 3}}, {"draft", "cluster", "final cluster"}),
        (JUDGED, {"gcn": {"neighbors": 4}}, {"pretrain", "judge", "train", "learn"}),
    ],
    ids=lambda value: str(sorted(value)),  # alike in all workers of pytest
)
def test_a_setting_touches_the_stages_that_read_it(base, change, stages, tiny_config):
    config = changed(tiny_config, **base)
    assert touched(config, changed(config, **change)) == stages
    assert touched(config, changed(config)) == set(), "the same settings"


def test_a_report_follows_all_settings_but_those_of_the_machine(tiny_config):
    def report(**change) -> str:
        return provenance(changed(tiny_config, **change)).path("report").name

    assert report(gcn={"batch": 8}) != report() != report(train={"lr": 0.1})
    assert report(device="auto", epochs_per_job=3) == report()


def test_an_edit_of_the_code_touches_the_stages_that_use_it(tiny_config, monkeypatch):
    before = names(tiny_config)
    digest = module.code_digest
    monkeypatch.setattr(
        module, "code_digest", lambda name, config: digest(name, config) + "!" * (name == "graph")
    )
    after = names(tiny_config)
    assert {name for name in before if before[name] != after[name]} == {"graph"}


@pytest.mark.parametrize(
    ("key", "text", "stages"),
    [
        ("cluster.constraints", "path_a,path_b,same\n", {"final cluster"}),
        ("export.numbers", "path,cluster\n", {"final cluster"}),
        ("data.reader", "x = 1\n", {"index"}),
        ("gcn.metadata.file", "path,identity\n", {"metadata"}),
    ],
)
def test_an_own_file_counts_by_its_content(key, text, stages, tiny_config, tmp_path):
    def named(path: Path) -> Config:
        sections, value = key.split("."), str(path)
        for section in reversed(sections):
            value = {section: value}
        more = {"gcn": {"metadata": {"source": "labels"}}} if key.startswith("gcn") else {}
        return changed(changed(tiny_config, **GCN), **merge(more, value))

    one, other = tmp_path / "one.txt", tmp_path / "sub" / "other.txt"
    other.parent.mkdir()
    one.write_text(text)
    other.write_text(text)
    os.utime(other, (1, 1))
    assert touched(named(one), named(other)) == set(), "neither path nor time"
    before = names(named(one))
    os.utime(one, (5, 5))
    assert names(named(one)) == before
    other.write_text(text + "more\n")
    assert touched(named(one), named(other)) == stages


def test_a_manifest_counts_by_its_content(tiny_config, tmp_path):
    manifest = tmp_path / "images.csv"
    manifest.write_text("path\na.png\n")
    config = changed(tiny_config, data={"dataset": "folder", "root": str(manifest)})
    before = names(config)
    os.utime(manifest, (5, 5))
    assert names(config) == before
    manifest.write_text("path\nb.png\n")
    after = names(config)
    assert {name for name in before if before[name] != after[name]} == {"index"}


def test_a_plugin_counts_by_its_content(tiny_config, tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("x = 1\n")
    other.write_text("x = 1\n")
    os.utime(other, (1, 1))
    with_one, with_other = (changed(tiny_config, plugins=[str(path)]) for path in (one, other))
    assert touched(with_one, with_other) == set()
    assert names(with_one) == names(with_other), "the report, too"
    other.write_text("x = 2\n")
    assert touched(with_one, with_other) == NETWORK | {"cluster", "final cluster"}
    assert touched(tiny_config, with_one) == NETWORK | {"cluster", "final cluster"}


def test_the_images_count_for_the_index(tiny_config, market, tmp_path):
    shutil.copytree(market, tmp_path / "data")
    config = changed(tiny_config, data={"root": str(tmp_path / "data")})
    before = names(config)
    image = next((tmp_path / "data").rglob("*.jpg"))
    image.with_name("0001_c1s1_000099_00.jpg").write_bytes(image.read_bytes())
    after = names(config)
    assert {name for name in before if before[name] != after[name]} == {"index"}
    assert touched(tiny_config, config) == {"index"}, "the index names its folder"


def test_the_way_to_the_files_does_not_count(tiny_config, market, tmp_path, monkeypatch):
    here, there = market.parent, tmp_path
    expected = names(tiny_config)
    for folder, root in ((here, market.name), (there, os.path.relpath(market, there))):
        monkeypatch.chdir(folder)
        for results in ("results", str(tmp_path / "results"), "../results"):
            values = {"results": results, "data": {"root": root}}
            assert names(changed(tiny_config, **values)) == expected
    link = tmp_path / "link"
    link.symlink_to(market)
    assert names(changed(tiny_config, data={"root": str(link)})) == expected


def test_a_baseline_has_its_own(tiny_config):
    found = provenance(tiny_config)
    paths = [found.path("evaluate", piece=piece) for piece in ("", "random", "histogram")]
    labels = [path.name.rpartition("-")[0] for path in paths]
    assert labels == ["evaluate", "evaluate_random", "evaluate_histogram"]
    contents = [json.loads(found.files[path.name]) for path in paths]
    assert len({content.pop("piece", "") for content in contents}) == 3
    assert contents[0] == contents[1] == contents[2]


def test_at_the_end_only_stages_that_differ_have_their_own(tiny_config):
    found = provenance(tiny_config)
    own = {one.name for one in STAGES if found.path(one.name, final=True) != found.path(one.name)}
    assert own == {"cluster", "features"}
    assert found.path("cluster", final=True).name.startswith("final_cluster-")


def test_a_file_takes_the_place_of_the_one_with_its_label(tiny_config, tmp_path):
    first = provenance(tiny_config, tmp_path)
    labels = [("cluster", {}), ("cluster", {"final": True}), ("evaluate", {})]
    labels += [("evaluate", {"piece": piece}) for piece in ("random", "histogram")]
    paths = [first.path(name, **how) for name, how in labels]
    paths += [first.path_of("evaluate_random-2", "{}"), first.path_of("config", "{}")]
    for path in paths:
        first.write(path)
    (first.layout.provenance / "contents.json").write_text("{}")
    assert len(set(paths)) == len(paths)
    assert all(path.read_text() == first.files[path.name] + "\n" for path in paths)

    other = provenance(changed(tiny_config, cluster={"eps": 0.5}), tmp_path)
    other.path("cluster")
    assert all(path.is_file() for path in paths), "to ask for a path writes nothing"
    other.write(other.path("cluster"))
    other.write(other.path("evaluate", piece="random"))
    left = {path.name for path in first.layout.provenance.iterdir()}
    expected = {path.name for path in paths[1:]} | {other.path("cluster").name, "contents.json"}
    assert left == expected


def test_what_was_written_for_nothing_is_taken_back(tiny_config, tmp_path):
    """With its time, which decides whether a stage runs."""
    before = provenance(tiny_config, tmp_path)
    old = before.path("train")
    before.write(old)
    os.utime(old, (5, 5))
    text = old.read_text()
    after = provenance(changed(tiny_config, train={"lr": 0.5}), tmp_path)
    new, first = after.path("train"), after.path("graph")
    after.write(new)
    after.write(first)
    assert not old.exists()
    after.restore()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]
    assert (old.read_text(), old.stat().st_mtime) == (text, 5)
    after.write(new)
    assert new.is_file()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("train", {"train": {"lr": 0.1, "iters": 9}}, "changed: train.iters, train.lr"),
        ("train", {"augment": {"pad": 3}, "seed": 4}, "changed: augment.pad, seed"),
        ("train", {"train": {"extra_losses": {"mine": 1.0}}}, None),
        ("index", {"data": {"on_bad_image": "skip"}}, "changed: data.on_bad_image"),
        (
            "cluster",
            {"cluster": {"constraints": "FILE", "constrain_training": True}},
            "changed: cluster.constrain_training, cluster.constraints",
        ),
        ("cluster", {"plugins": ["FILE"]}, "changed: plugins.0"),
    ],
    ids=str,
)
def test_a_difference_in_words(name, change, words, tiny_config, tmp_path):
    file = tmp_path / "own.txt"
    file.write_text("path_a,path_b,same\n")
    before = provenance(tiny_config, tmp_path)
    assert before.difference(before.path(name)) == "no record of settings and code"
    before.write(before.path(name))
    change = json.loads(json.dumps(change).replace("FILE", str(file)))
    after = provenance(changed(tiny_config, **change), tmp_path)
    found = after.difference(after.path(name))
    if words is None:  # more settings are read, too
        assert "train.extra_losses.mine" in found
    else:
        assert found == words


def test_a_difference_of_code_and_images_in_words(tiny_config, tmp_path, monkeypatch):
    before = provenance(tiny_config, tmp_path)
    before.write(before.path("index"))
    after = Provenance(tiny_config, RunLayout(tmp_path), lambda _: "others")
    assert after.difference(after.path("index")) == "changed: the images"
    monkeypatch.setattr(module, "code_digest", lambda *_: "other")
    after = provenance(tiny_config, tmp_path)
    assert after.difference(after.path("index")) == "changed: the code of mprd"


def test_a_shared_folder_is_named_by_all_that_decides_it(tiny_config):
    def keys(**change) -> list[str]:
        found = provenance(changed(tiny_config, **change))
        return [found.shared_key(name) for name in ("index", "pixels", "init")]

    before = keys()
    assert [key.partition("-")[0] for key in before] == ["index", "pixels", "init"]
    assert keys() == before
    for change, kept in (
        ({"data": {"on_bad_image": "skip"}}, 0),
        ({"data": {"height": 64}}, 1),
        ({"init": {"warmup": {"steps": 2}}}, 2),
        ({"train": {"lr": 0.1}}, 3),
    ):
        after = keys(**change)
        assert after[:kept] == before[:kept]
        assert not set(after[kept:]) & set(before[kept:])


def test_the_folder_of_synthetic_images_needs_no_listing(tmp_path):
    def listing(config: Config) -> str:
        raise AssertionError("it may not be there yet")

    config = validate({"data": {"dataset": "synthetic", "root": str(tmp_path)}}, "x")
    other = changed(config, data={"synthetic": {"cameras": 3}})
    one, two = (
        Provenance(each, RunLayout(tmp_path), listing).path("index").name
        for each in (config, other)
    )
    assert one != two
