"""The stage table: it agrees with the stage functions, the layout and the config."""

import inspect
import itertools
import re
from pathlib import Path
from types import UnionType
from typing import get_args

import pytest

from mprd.config import Config
from mprd.config.load import known_keys
from mprd.errors import UserError
from mprd.pipeline import memory
from mprd.pipeline.files import files_read, files_written, output_arguments, require_given
from mprd.pipeline.layout import EpochLayout, FinalLayout, RunLayout
from mprd.pipeline.settings import setting
from mprd.pipeline.stage import At, Place, Setting, Stage
from mprd.pipeline.stages import STAGES, stage
from tests.stages.pipeline import GCN, JUDGED, changed

# They write no file that a run reads, and their commands take more: see `mprd/cli/tools.py`.
BY_HAND = {"table", "report"}
CALLED = [one for one in STAGES if one.name not in BY_HAND]
ROLES = {*RunLayout.roles(), *EpochLayout.roles(), *FinalLayout.roles()}
NAMED_BY_EVALUATION = {"evaluation", "rankings"}  # methods of the layout: they have a wildcard
NAMES = [one.name for one in STAGES]
ON_DEVICE = [one for one in STAGES if one.gpu_advice]


def parameters(one: Stage) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(one.function()).parameters)


def is_optional(kind: object) -> bool:
    return isinstance(kind, UnionType) and type(None) in get_args(kind)


@pytest.mark.parametrize("one", CALLED, ids=lambda one: one.name)
def test_a_function_takes_what_its_entry_names(one):
    found = parameters(one)
    expected = {"config", *(read.name for read in one.reads), *(o.name for o in one.options)}
    expected |= {write.keyword for write in one.writes if write.keyword}
    expected |= {"out"} if one.folder else set()
    expected |= {"threads"} if one.workers else set()
    shared = [other for other in CALLED if other.run == one.run]
    if one.command:  # `draft` is a call of `cluster` with fewer files
        assert set(found) > expected
        expected = set(found)
    assert set(found) == expected
    assert len(shared) == 1 or {other.name for other in shared} == {"draft", "cluster"}
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in found.values())


@pytest.mark.parametrize("one", CALLED, ids=lambda one: one.name)
def test_what_an_entry_calls_required_has_no_default(one):
    """Else the command of the stage ends in a traceback where the option is missing."""
    found = parameters(one)
    for read in one.reads:
        given = found[read.name]
        assert (given.default is inspect.Parameter.empty) == read.required, read.name
        assert is_optional(given.annotation) != read.required, read.name
    for option in one.options:
        default = inspect.Parameter.empty if option.default is ... else option.default
        assert found[option.name].default == default, option.name


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)
    assert all(stage(one.name) is one for one in STAGES)
    with pytest.raises(ValueError, match="unknown stage 'trian'"):
        stage("trian")


@pytest.mark.parametrize("one", STAGES, ids=NAMES)
def test_every_role_is_in_the_layout(one):
    roles = ROLES | {"doubtful"}  # one of two files of the layout
    for read in one.reads:
        assert read.role in roles
        assert not read.initial or read.initial in RunLayout.roles()
        if read.at is not At.HERE and read.role != "doubtful":
            assert read.role in EpochLayout.roles(), "an epoch has it"
    for write in one.writes:
        if one.place is Place.EVALUATION:
            assert write.role in NAMED_BY_EVALUATION
        elif one.place is not Place.DATA:
            homes = {
                Place.STEP: (EpochLayout, FinalLayout),
                Place.EPOCH: (EpochLayout,),
                Place.FINAL: (FinalLayout,),
            }
            for home in homes.get(one.place, (RunLayout,)):
                assert write.role in home.roles()
    assert len({read.name for read in one.reads}) == len(one.reads)
    assert len({read.flag for read in one.reads}) == len(one.reads)


@pytest.mark.parametrize("one", STAGES, ids=NAMES)
def test_every_setting_is_in_the_config(one):
    every = [entry.keys if isinstance(entry, Setting) else (entry,) for entry in one.settings]
    keys = list(itertools.chain(*every))
    assert set(keys) <= set(known_keys(Config))
    for key in one.files:
        assert any(key == read or key.startswith(f"{read}.") for read in keys), "it is read"
        assert Path in kinds(key)


def kinds(key: str) -> tuple:
    """The types that a setting may have."""
    kind = Config
    for part in key.split("."):
        kind = kind.model_fields[part].annotation
    return get_args(kind) or (kind,)


@pytest.mark.parametrize("one", STAGES, ids=NAMES)
def test_memory_and_advice_go_together(one):
    assert one.memory in {"", *memory._FUNCTIONS}
    assert bool(one.memory) == bool(one.advice)


def test_stages_on_the_device_have_advice_for_its_memory():
    assert {one.name for one in STAGES if one.device} == {one.name for one in ON_DEVICE}
    assert "graph" in {one.name for one in ON_DEVICE}


@pytest.mark.parametrize("one", ON_DEVICE, ids=[one.name for one in ON_DEVICE])
def test_the_advice_of_a_gpu_names_what_helps_in_this_stage(one):
    named = set(re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+", one.gpu_advice))
    own = [entry.keys if isinstance(entry, Setting) else (entry,) for entry in one.settings]
    # The images and the network come from other stages; a block of a search decides no result.
    own += [("data.height", "data.width", "model.backbone", "graph.search_memory_mb")]
    for key in named:
        assert key in known_keys(Config)
        assert any(key == read or key.startswith(f"{read}.") for read in itertools.chain(*own))
    assert named or one.gpu_advice == "Set device to cpu."
    if one.name != "train":
        assert "device to cpu." in one.gpu_advice


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


FAISS = "Error: StandardGpuResources: alloc fail (cudaMalloc error out of memory [2])"
LACKS = [
    ("train", OutOfMemoryError("CUDA out of memory. Tried\nmore"), r"train: .*GPU.* train.iden"),
    ("graph", RuntimeError(FAISS), r"graph: the memory of the GPU .*graph.search_memory_mb"),
    ("judge", RuntimeError("CUDA error: out of memory"), r"judge: the memory of the GPU .*gcn.nei"),
    ("graph", MemoryError("Unable to allocate 9 GiB"), r"graph: memory is too .*smaller graph.k1"),
]


@pytest.mark.parametrize(("name", "error", "said"), LACKS)
def test_a_stage_that_runs_out_of_memory_says_what_helps(name, error, said, monkeypatch):
    def fail(**given):
        assert given == {"a": 1}
        raise error

    monkeypatch.setattr(type(stage(name)), "function", lambda self: fail)
    with pytest.raises(UserError, match=said) as raised:
        stage(name).do(a=1)
    assert "\nmore" not in str(raised.value)
    assert str(raised.value).endswith("docs/memory.md has the formulas.")


def test_a_stage_hides_no_other_error(monkeypatch):
    def fail():
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(stage("train")), "function", lambda self: fail)
    with pytest.raises(RuntimeError, match="a defect"):
        stage("train").do()


def configs(config: Config) -> dict[str, Config]:
    gcn = changed(config, **GCN)
    judged = changed(gcn, cluster=JUDGED)
    return {
        "plain": config,
        "gcn": gcn,
        "judged": judged,
        "ranked": changed(judged, graph={"backend": "ivf"}),
        "fixed": changed(gcn, gcn={"learn": False}),
        "unfiltered": changed(judged, train={"use_hsd": False, "use_ppa": False}),
        "paced": changed(config, cluster={"self_paced": True}),
        "centred": changed(config, graph={"cameras": "center"}),
    }


VARIANTS = ["plain", "gcn", "judged", "ranked", "fixed", "unfiltered", "paced", "centred"]


def steps(one: Stage, config: Config) -> list:
    """The steps of a run of two epochs."""
    if not one.exists(config):
        return []
    return {
        Place.STEP: [1, 2, *(["final"] if one.at_the_end(config) else [])],
        Place.EPOCH: [1, 2],
        Place.FINAL: ["final"],
        Place.EVALUATION: ["000", "002", "random"],
        Place.DATA: [],
    }.get(one.place, [None])


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_file_is_written_once_and_before_it_is_read(variant, tiny_config):
    """By one stage and step, in some order: there is no circle."""
    config, run = configs(tiny_config)[variant], RunLayout(Path("r"))
    assert config.epochs == 2
    waiting = [(one, step) for one in STAGES for step in steps(one, config)]
    writes = {job: set(files_written(job[0], run, job[1], config).values()) for job in waiting}
    reads = {job: set(files_read(job[0], run, job[1], config).values()) for job in waiting}
    made: set[Path] = set()
    while waiting:
        ready = [job for job in waiting if reads[job] <= made]
        assert ready, waiting
        for job in ready:
            waiting.remove(job)
            assert made.isdisjoint(writes[job])
            made |= writes[job]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_gives_each_stage_what_it_needs(variant, tiny_config):
    """And no file that the config does not ask for."""
    config, run = configs(tiny_config)[variant], RunLayout(Path("r"))
    for one in CALLED:
        for step in steps(one, config):
            files = {read.name: path for read, path in files_read(one, run, step, config).items()}
            every = dict.fromkeys(read.name for read in one.reads) | files
            require_given(one.name, every, config, step=step)
            needed = {
                name
                for name, parameter in parameters(one).items()
                if parameter.default is inspect.Parameter.empty
            }
            given = {*files, *output_arguments(one, run, step, config), "config", "epoch"}
            assert needed <= given, one.name


def test_files_of_the_table_are_those_of_the_run(tiny_config):
    config, run = configs(tiny_config)["ranked"], RunLayout(Path("r"))

    def read(name, step=None):
        return {
            entry.name: str(path)
            for entry, path in files_read(stage(name), run, step, config).items()
        }

    assert read("judge", 1) == {
        "index": "r/index.h5",
        "features": "r/epochs/001/features.h5",
        "graph": "r/epochs/001/graph.h5",
        "provisional_clusters": "r/epochs/001/drafts.h5",
        "gcn": "r/gcn/pretrained.safetensors",
        "ranks": "r/epochs/001/ranks.h5",
    }
    assert read("judge", 2)["gcn"] == "r/epochs/001/gcn.safetensors"
    assert read("judge", "final")["gcn"] == "r/epochs/002/gcn.safetensors"
    assert read("judge", "final")["ranks"] == "r/final/ranks.h5"
    assert read("features", 1)["model"] == "r/init/model.safetensors"
    assert read("features", 2)["model"] == "r/epochs/001/model.safetensors"
    assert read("features", "final")["model"] == "r/epochs/002/model.safetensors"
    assert read("pretrain")["doubtful"] == "r/epochs/001/drafts.h5"
    assert {"state", "previous_clusters"}.isdisjoint(read("train", 1))
    assert read("train", 2)["state"] == "r/epochs/001/state.pt"
    assert read("train", 2)["previous_clusters"] == "r/epochs/001/clusters.h5"
    assert read("evaluate", "000")["model"] == "r/init/model.safetensors"
    assert read("evaluate", "002")["model"] == "r/epochs/002/model.safetensors"
    assert "model" not in read("evaluate", "random")
    config = configs(tiny_config)["paced"]
    assert "previous_clusters" not in read("cluster", 1)
    assert read("cluster", 2)["previous_clusters"] == "r/epochs/001/clusters.h5"
    assert "previous_clusters" not in read("cluster", "final")
    assert read("graph", 1)["index"] == "r/index.h5"


@pytest.mark.parametrize(
    ("name", "given", "variant", "step", "message"),
    [
        (
            "train",
            {"graph": None},
            "gcn",
            1,
            "^`mprd train` needs --graph: the config sets use_gcn",
        ),
        ("train", {"doubtful": None}, "gcn", 1, "^`mprd train` needs --drafts: the config sets"),
        ("train", {"gcn": None}, "gcn", 2, "^`mprd train` needs --gcn: the config sets use_gcn"),
        ("train", {"state": None}, "plain", 2, "^`mprd train` needs --state: this is epoch 2"),
        ("train", {"state": "s"}, "plain", 1, "^--state is of the epoch before; this is epoch 1"),
        ("train", {"gcn": "g"}, "plain", 1, "^--gcn goes with use_gcn, .*config does not set"),
        ("train", {"graph": "g"}, "unfiltered", 1, "^--graph goes with .*use_hsd"),
        ("train", {"ranks": "r"}, "gcn", 1, "^--ranks goes with .*graph.backend: ivf"),
        ("cluster", {"judgements": "j"}, "gcn", None, "^--judgements goes with cluster.relation"),
    ],
)
def test_a_missing_or_useless_file_is_named(name, given, variant, step, message, tiny_config):
    with pytest.raises(Exception, match=message) as error:
        require_given(name, given, configs(tiny_config)[variant], step=step)
    assert type(error.value).__name__ == "UserError"


def test_files_that_are_not_named_are_not_asked_for(tiny_config):
    config = configs(tiny_config)["ranked"]
    require_given("train", {}, config, step=2)
    require_given("train", {"ranks": None}, config, step=2)  # the stage does without


def test_user_files_are_paths(tiny_config):
    keys = {key for one in STAGES for key in one.files}
    assert keys == {
        "data.reader",
        "data.root",
        "data.features",
        "init.checkpoint",
        "cluster.constraints",
        "export.numbers",
        "gcn.metadata.file",
    }
    assert isinstance(setting(tiny_config, "data.root"), Path)
