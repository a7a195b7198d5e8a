"""Nobody is let in: no code in files, no way out of the data folder, no shell in names."""

import hashlib
import pickle
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from mprd.artifacts import INDEX, read_artifact
from mprd.artifacts.tensors import read_safetensors, read_state
from mprd.config import merge, read_yaml, validate
from mprd.data.added import Added
from mprd.errors import UserError
from mprd.inference.feature_files import read_array
from mprd.models.weights import load_checkpoint
from mprd.pipeline.layout import RunLayout
from mprd.stages.index import run_index
from mprd.stages.pixels import run_pixels
from tests.artifacts.edit import edit, put
from tests.conftest import TINY
from tests.faults.limits import refused

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "mprd/pipeline/registry.py"
RUNS_PLUGIN = 'exec(compile(code, module.__file__, "exec"), module.__dict__)'  # the user's own
SOURCES = [*(ROOT / "mprd").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
# These compare the paths of an index with others, print them or read checksums; they show no image.
NAMES_ONLY = [
    ROOT / f"mprd/{name}.py"
    for name in (
        "cli/redo",
        "data/added",  # checks what it names
        "inference/arriving",
        "inference/feature_files",
        "inference/sightings",
        "report/page/settings",
    )
]


class Exploit:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"\bpickle\b(?!=)", "pickle runs code"),
        (r"\b(?:c?pickle|joblib|dill|shelve|marshal)\.", "pickles"),
        (r"yaml\.(?:load|unsafe_load|full_load)\(", "only safe_load"),
        (r"torch\.load\((?![^)]*weights_only=True)", "weights_only"),
        (r"np\.load\((?![^)]*allow_pickle=False)", "allow_pickle"),
        (r"\b(?:eval|exec)\(", "runs code"),
        (r"shell=True|os\.system", "a shell"),
        (r"read_pickle|to_pickle", "pickles"),
    ],
)
def test_no_source_does_what_it_must_not(pattern, why):
    for path in SOURCES:
        text = re.sub(r'""".*?"""', "", path.read_text(), flags=re.S)
        text = re.sub(r"#.*|\.eval\(\)", "", text)
        found = [line.strip() for line in text.splitlines() if re.search(pattern, line)]
        runs_plugins = path == REGISTRY and "exec" in pattern
        assert found == ([RUNS_PLUGIN] if runs_plugins else []), f"{path}: {why}: {found}"


def test_every_value_in_a_shell_command_is_quoted():
    for path in (ROOT / "workflow").rglob("*.smk"):
        for line in re.findall(r'^\s*"(?:mprd| ).*"$', path.read_text(), re.MULTILINE):
            names = re.findall(r"\{([^{}]+)\}", line)
            numbers = {"threads", "params.number", "params.first", "params.last"}
            assert all(name.endswith(":q") or name in numbers for name in names), f"{path}: {line}"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npy", ".h5"])
def test_a_malicious_file_is_refused_by_every_reader(tmp_path, suffix, judged_run):
    target, path = tmp_path / "gotcha", tmp_path / f"evil{suffix}"
    if suffix == ".npy":
        np.save(path, np.array([Exploit(target)], dtype=object), allow_pickle=True)
    elif suffix in (".pt", ".pth"):
        torch.save({"schema": "mprd.state", "epoch": 1, "optimizer": Exploit(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Exploit(target)))
    from mprd.models.weights import load_network

    network, _ = load_network(judged_run.epoch(2).model)
    readers = {
        "state": lambda: read_state(path),
        "weights": lambda: load_checkpoint(network, path),
        "model": lambda: read_safetensors(path, "mprd.model", "train"),
        "array": lambda: read_array(path),
        "artifact": lambda: read_artifact(path, INDEX),
    }
    for name, reader in readers.items():
        with pytest.raises(UserError):
            reader()
        assert not target.exists(), name


def test_a_pickle_inside_a_sound_archive(tmp_path):
    """The checksums of the archive are right; what is in it is not."""
    target, path = tmp_path / "gotcha", tmp_path / "state.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Exploit(target)))
        archive.writestr("archive/version", "3")
    with pytest.raises(UserError, match="not a readable training state"):
        read_state(path)
    assert not target.exists()


def bomb(path, kind):
    """Write zeros of which a few bytes become much: 256 MiB and more."""
    zeros = torch.zeros(1 if kind == "one value a thousand times" else 2**26)
    if kind == "one value a thousand times":
        zeros = zeros.expand(2**26)
    torch.save({"schema": "mprd.state", "epoch": 1, "optimizer": {"a": zeros}, "w": zeros}, path)
    if kind == "one value a thousand times":
        return
    whole = path.with_suffix(".whole")
    path.rename(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            large = old.getinfo(name).file_size > 2**20
            stored = zipfile.ZIP_STORED if kind == "packed in part" and not large else None
            new.writestr(name, old.read(name), stored)
    whole.unlink()


@pytest.mark.parametrize("kind", ["packed", "packed in part", "one value a thousand times"])
def test_a_small_file_of_torch_that_becomes_large(judged_run, tmp_path, kind):
    from mprd.models.weights import load_network

    network, _ = load_network(judged_run.epoch(2).model)
    path = tmp_path / "state.pt"
    bomb(path, kind)
    assert path.stat().st_size < 2**20
    for reader in (lambda: read_state(path), lambda: load_checkpoint(network, path)):
        refused(reader, path)


def test_yaml_makes_no_objects(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(f"seed: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'gotcha'}]\n")
    with pytest.raises(UserError):
        read_yaml(path)
    assert not (tmp_path / "gotcha").exists()


def test_a_yaml_bomb_is_a_sentence(tmp_path):
    """References of references: a billion entries if they were written out."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match="more than 100,000 values"):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "$(id)", "", "a;b", "-", "a\nb", "é"])
def test_run_names_are_plain(name):
    if name == "-":
        validate({"runs": {name: {}}}, "x")
        return
    with pytest.raises(UserError):
        validate({"runs": {name: {}}}, "x")


@pytest.fixture
def outside(tmp_path):
    """A manifest that names images beside and above its folder."""
    (tmp_path / "data").mkdir()
    for name in ("secret.png", "data/in.png"):
        Image.new("RGB", (16, 32)).save(tmp_path / name)
    return tmp_path


def configured(path, **data):
    values = merge(TINY, {"data": {"dataset": "folder", "root": str(path), **data}})
    return validate(values, "x")


@pytest.mark.parametrize("way", ["../secret.png", "in/../../secret.png", "absolute"])
def test_no_path_of_a_manifest_leads_out_unless_allowed(outside, way):
    path = str(outside / "secret.png") if way == "absolute" else way
    (outside / "data/in").mkdir()
    pd.DataFrame({"path": ["in.png", path]}).to_csv(outside / "data/m.csv", index=False)
    out = outside / "index.h5"
    with pytest.raises(UserError, match=r"lies outside of .*set data\.allow_outside"):
        run_index(out=out, config=configured(outside / "data/m.csv"))
    run_index(out=out, config=configured(outside / "data/m.csv", allow_outside=True))
    assert len(read_artifact(out, INDEX)["path"]) == 2


WAYS_OUT = ["../secret.png", "in/../../secret.png", "/etc/hostname", "..", "./../secret.png"]


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_path_of_an_index_leads_out(outside, way):
    pd.DataFrame({"path": ["in.png"]}).to_csv(outside / "data/m.csv", index=False)
    config, index = configured(outside / "data/m.csv"), outside / "index.h5"
    run_index(out=index, config=config)
    edit(index, put("path", np.array([way], dtype=object)))
    with pytest.raises(UserError, match="lies outside of"):
        run_pixels(index=index, out=outside / "p.h5", config=config)


@pytest.mark.parametrize("way", WAYS_OUT)
def test_nobody_opens_an_image_out_of_the_folder_of_a_run(judged_run, tmp_path, way):
    from mprd.inference.gallery import embedded_images

    run = RunLayout(tmp_path / "run")
    for file in (judged_run.index, judged_run.config, judged_run.final.embeddings):
        copy = run.folder / file.relative_to(judged_run.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    _, files = embedded_images(run.final.embeddings)
    assert files[0].is_file()
    paths = read_artifact(run.index, INDEX)["path"]
    paths[0] = way
    edit(run.index, put("path", paths))
    with pytest.raises(UserError, match="lies outside of"):
        embedded_images(run.final.embeddings)
    settings = read_yaml(run.config)
    settings["data"]["allow_outside"] = True
    run.config.write_text(yaml.safe_dump(settings))
    _, files = embedded_images(run.final.embeddings)
    assert files[0] == Path(read_artifact(run.index, INDEX).attributes["root"]) / way


def test_images_are_opened_in_one_place():
    """Pillow is called by `decode` only, which the path of an index reaches by `indexed_images`."""
    for path in SOURCES:
        text = path.read_text()
        if path != ROOT / "mprd/data/images.py":
            assert "Image.open(" not in text, path
        if path != ROOT / "mprd/data/images.py" and 'attributes["root"]' in text:
            assert path in NAMES_ONLY, f"{path} builds paths of images: use indexed_images"


def test_added_images_elsewhere_are_those_that_were_added(tmp_path):
    own, other = tmp_path / "own.png", tmp_path / "other.png"
    own.write_bytes(b"own")
    arrays = {"path": np.array([str(own), "inside.png", str(tmp_path / "gone.png")], object)}
    arrays["sha256"] = np.array([hashlib.sha256(b"own").hexdigest(), "0", "0"], object)
    index = SimpleNamespace(attributes={"root": str(tmp_path / "images")})
    named = [own, tmp_path / "images/inside.png", tmp_path / "gone.png"]
    assert Added(arrays).files(index) == named
    other.write_bytes(b"private")
    (tmp_path / "images").mkdir()
    for path in (str(other), "../other.png"):
        arrays["path"] = np.array([path, "inside.png", "gone.png"], object)
        with pytest.raises(UserError, match="is not the image that was added"):
            Added(arrays).files(index)


def test_same_files_on_both_sides_are_told(tmp_path, capsys):
    Image.new("RGB", (16, 32), "red").save(tmp_path / "a.png")
    for n in range(4):
        (tmp_path / f"copy{n}.png").write_bytes((tmp_path / "a.png").read_bytes())
    rows = [("a.png", "query", 1), ("copy0.png", "gallery", 1)]
    rows += [(f"copy{n}.png", "train", "") for n in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["path", "split", "identity"])
    table.to_csv(tmp_path / "m.csv", index=False)
    run_index(out=tmp_path / "i.h5", config=configured(tmp_path / "m.csv"))
    said = capsys.readouterr().out
    assert "Warning: 1 query image is in the gallery, too, as the same file" in said
    assert "One training image is there 3 times" in said


def test_names_of_identities_are_given_back(tmp_path):
    from mprd.data.index import name_identities, split_rows

    for name in "abc":
        Image.new("RGB", (16, 32)).save(tmp_path / f"{name}.png")
    table = pd.DataFrame({"path": ["a.png", "b.png", "c.png"], "identity": ["zoe", "ann", ""]})
    table.to_csv(tmp_path / "m.csv", index=False)
    run_index(out=tmp_path / "i.h5", config=configured(tmp_path / "m.csv"))
    index = read_artifact(tmp_path / "i.h5", INDEX)
    assert index["identity"].tolist() == [1, 0, -1]
    assert name_identities(index, split_rows(index, "train")).tolist() == ["zoe", "ann", ""]
