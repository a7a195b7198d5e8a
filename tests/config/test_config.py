import json
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from mprd.artifacts import reference as artifacts
from mprd.config import Config, dump_yaml, expand_runs, load_config, merge, read_yaml, validate
from mprd.config.load import known_keys
from mprd.config.reference import json_schema, markdown
from mprd.errors import UserError
from mprd.pipeline import reference as stages
from mprd.pipeline.layout import describe
from mprd.report import columns
from mprd.system import ram_reference

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_are_valid(path):
    runs = expand_runs(yaml.safe_load(path.read_text()), str(path))
    assert runs


def test_the_sweep_goes_with_the_demo():
    demo, sweep = (read_yaml(ROOT / "config" / f"{name}.yaml") for name in ("config", "sweep"))
    runs = expand_runs(merge(demo, sweep), "sweep.yaml")
    judged = {run.variant: run.config.uses_judgements for run in runs}
    assert judged == {"demo": True, "no-gcn": False, "no-alignment": True}
    assert len(runs) == 9


@pytest.mark.parametrize(
    ("name", "eps"), [("market1501", 0.4), ("dukemtmcreid", 0.6), ("msmt17", 0.7)]
)
def test_paper_configs_carry_the_settings_of_the_released_commands(name, eps):
    config = load_config(ROOT / "config" / f"{name}.yaml")
    train = config.train
    assert (config.data.dataset, config.cluster.eps, config.cluster.min_samples) == (name, eps, 4)
    assert (config.model.backbone, config.data.height, config.data.width) == ("resnet50", 256, 128)
    assert (train.identities, train.instances, train.iters, config.epochs) == (4, 16, 400, 50)
    assert (train.momentum, train.lr, train.weight_decay, train.lr_step) == (
        0.1,
        3.5e-4,
        5e-4,
        20,
    )
    assert (config.graph.k1, config.graph.k2, train.use_hsd) == (30, 6, True)
    assert config.init.method == "imagenet"


def test_reference_files_are_up_to_date():
    assert (ROOT / "config" / "README.md").read_text() == markdown()
    assert (ROOT / "config" / "schema.json").read_text() == json_schema()
    assert (ROOT / "docs" / "artifacts.md").read_text() == artifacts.markdown(
        describe(), columns.markdown()
    )
    formulas = ram_reference.markdown(stages.memory_table())
    assert (ROOT / "docs" / "memory.md").read_text() == formulas
    assert (ROOT / "docs" / "stages.md").read_text() == stages.markdown()


def test_the_reference_names_each_config():
    head = markdown().partition("## ")[0]
    assert [p.name for p in ROOT.glob("config/*.yaml") if f"`{p.name}`" not in head] == []


def test_every_setting_has_a_description():
    def walk(model):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                walk(field.annotation)

    walk(Config)
    reference = markdown()
    for key in known_keys(Config):
        assert f"`{key}`" in reference


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cluster": {"epss": 0.5}}, r"unknown key `cluster.epss`, did you mean `cluster.eps`\?"),
        ({"epohcs": 3}, r"unknown key `epohcs`, did you mean `epochs`\?"),
        ({"train": {"eps": 3}}, r"unknown key `train.eps`, did you mean `cluster.eps`\?"),
        ({"zzzzzz": 3}, "unknown key `zzzzzz`"),
        ({"cluster": {"eps": 1.5}}, "`cluster.eps` is 1.5: input should be less than 1"),
        ({"cluster": {"eps": "wide"}}, "`cluster.eps` is 'wide': input should be a valid number"),
        ({"cluster": {"eps": 0.8}}, r"cluster.eps \(0.8\) is above graph.eps_max \(0.7\)"),
        ({"model": {"pooling": "sum"}}, "`model.pooling` is 'sum': input should be 'avg'"),
        ({"data": {"root": "~nobody_here/x"}}, "names the home of a user who is not known"),
        ({"init": {"method": "checkpoint"}}, "no `checkpoint` file is given"),
        ({"init": {"method": "random", "checkpoint": "a.pth"}}, "does not read it"),
        ({"runs": {}}, "name at least one run"),
        ({"seeds": [1, 1]}, "seeds holds a seed twice"),
        ({"runs": {"..": {}}}, "no run can be called . or .."),
        ({"runs": {".": {}}}, "no run can be called . or .."),
        ({"epochs": True}, "`epochs`: yes is not a number"),
        ({"train": {"lr": False}}, "`train.lr`: no is not a number"),
        ({"seeds": [1, True]}, "`seeds`: yes is not a number"),
        ({"train": {"extra_losses": {"nt_xent": True}}}, "yes is not a number"),
        ({"train": {"lr": float("inf")}}, "`train.lr` is inf: input should be a finite number"),
        ({"cluster": {"gamma": float("nan")}}, "finite number"),
        ({"train": {"iters": 10**20}}, "`train.iters`: 100000000000000000000 is too large"),
        ({"seeds": [2**31]}, "`seeds`: 2147483648 is too large"),
        ({"epochs": "x" * 10_000}, r"`epochs` is 'x{79}\.\.\.: input should be a valid integer"),
        ({"device": "gpu"}, "`device` is 'gpu'"),
        ({"model": {"bn_group_size": 1}}, r"bn_group_size \(1\) must be 0 or divide a batch of 64"),
        ({"model": {"bn_group_size": 24}}, "groups of two images or more"),
        ({"train": {"extra_losses": {"ppa": 1}}}, "which has settings of its own"),
        ({"cluster": {"relation": "judged"}}, "dbscan does not weigh pairs"),
        ({"cluster": {"relation": "judged", "method": "community"}}, "there is no judge"),
        ({"cluster": {"gamma": "auto"}}, "dbscan has no gamma"),
        ({"cluster": {"self_paced": True, "widen_step": 0.1}}, "set widen_step to 0"),
        ({"use_gcn": True}, "use_gcn has nothing to judge"),
        ({"data": {"synthetic": {"min_images": 9}}}, "min_images is above max_images"),
        ({"data": {"root": 2026}}, "`data.root` is 2026: no text in YAML: put quotes around it"),
        ({"data": {"root": False}}, "`data.root` is no: no text in YAML: put quotes around it"),
        ({"device": True}, "`device` is yes: no text in YAML: put quotes around it"),
        ({"model": {"backbone": 1.5}}, "`model.backbone` is 1.5: no text in YAML"),
        ({"data": {"root": None}}, "`data.root` is empty: give it a value, or leave it out"),
        ({"epochs": None}, "`epochs` is empty: give it a value"),
        ({"train": None}, "`train` is empty: give it a value"),
        ({"train": 5}, "`train` is 5: `key: value` pairs are needed"),
        ({"runs": ["a", "b"]}, r"`runs` is \['a', 'b'\]: `key: value` pairs are needed"),
        ({"seeds": 3}, r"`seeds` is 3: a list is needed, such as \[1, 2\]"),
        ({"seeds": "1,2,3"}, "`seeds` is '1,2,3': a list is needed"),
    ],
)
def test_mistakes_become_one_sentence(values, message):
    with pytest.raises(UserError, match=message) as caught:
        validate(values, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)


def test_settings_that_another_version_listed(tmp_path):
    """A person's config is short, and its unknown keys are typing mistakes."""
    path = tmp_path / "config.yaml"
    path.write_text(f"use_teacher: true\n{dump_yaml(Config())}")
    with pytest.raises(UserError) as caught:
        load_config(path)
    words = "lists the settings of another version of mprd, or was changed by hand (unknown key "
    assert str(caught.value).startswith(f"{path} {words}`use_teacher`). `mprd run CONFIG` writes")
    path.write_text("use_teacher: true\nepochs: 3\n")
    with pytest.raises(UserError, match="unknown key `use_teacher`, did you mean"):
        load_config(path)


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_config(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(UserError, match="not valid YAML"):
        load_config(broken)
    broken.write_text("train: {iters: 5}\nepochs: 3\ntrain: {lr: 0.01}\n")
    with pytest.raises(UserError, match="`train` is given twice, again in line 3"):
        load_config(broken)
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        load_config(tmp_path)
    broken.write_text("- 1")
    with pytest.raises(UserError, match="must hold `key: value` pairs"):
        load_config(broken)
    broken.write_text("")
    assert load_config(broken) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 010", "`010` in line 1 is the number 8 in YAML: write the number that you mean"),
        ("epochs: 3\ntrain: {iters: -0017}", "`-0017` in line 2 is the number -15"),
        ("epochs: 1:30", "`1:30` in line 1 is the number 90"),
        ("train: {lr: 1:30.5}", "`1:30.5` in line 1 is a number to the base of 60"),
        ("epochs: !!int ten", "`ten` in line 1 is no int"),
        ("epochs: !!timestamp ten", "`ten` in line 1 is no timestamp"),
        ("epochs: 0b_", "is no int"),
        ("a: &a [*a]", "the alias in line 1 contains itself"),
        ("x: " + "[" * 3000 + "]" * 3000, "it is nested too deeply"),
        ("a: [1\n\n\nb: 2", "expected"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: \x00", "special characters are not allowed"),
        ('results: "a\\0b"', "the text in line 1 holds NUL or half a character"),
        ('epochs: 1\ndata: {root: "\\uD800"}', "the text in line 2 holds NUL or half a character"),
        ('"\\0": 1', "the text in line 1 holds NUL"),
        ("results: " + "x" * 600_000, "it has more than 524,288 bytes"),
        ("x: 1\n" * 200_000, "it has more than 524,288 bytes"),
        ("runs: {" + "a" * 101 + ": {}}", "should match pattern"),
        ("runs: {no: {}}", "the name `no` in line 1 is yes or no in YAML: put quotes around it"),
        ("runs:\n  2026: {}", "the name `2026` in line 2 is a number"),
        ("runs: {1.0: {}}", "the name `1.0` in line 1 is a number"),
        ("runs: {12:30: {}}", "the name `12:30` in line 1 is a number"),
        ("runs: {007: {}}", "the name `007` in line 1 is a number"),
        ("runs: {~: {}}", "the name `~` in line 1 is nothing in YAML"),
        ("cluster: {eps: 0,5}", r"the name `5` in line 1 is a number \(0,5 is two: write 0.5\)"),
        ("on: 1", "the name `on` in line 1 is yes or no in YAML"),
    ],
)
def test_yaml_that_means_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_config_without_end_is_refused():
    with pytest.raises(UserError, match="it has more than 524,288 bytes"):
        load_config(Path("/dev/zero"))


def test_aliases_that_grow_are_refused_at_once(tmp_path):
    """Nine levels of nine aliases each: a gigabyte, if they were written out."""
    lines = ['a0: &a0 ["x"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join([*lines, "data: {root: *a9}"]))
    with pytest.raises(UserError, match="more than 100,000 values"):
        load_config(path)


def test_yaml_that_is_plain_is_read_as_it_stands(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "results: 2026-13-45\nepochs: 10\ntrain: {lr: 1.0e-3, iters: 1_000}\nuse_time: yes\n"
        "runs: {one: &same {train: {lr: 0.1}}, two: *same}\ndata: {time_format: '%H:%M:%S'}\n"
    )
    config = load_config(path)
    assert (str(config.results), config.epochs, config.use_time) == ("2026-13-45", 10, True)
    assert (config.train.lr, config.train.iters) == (0.001, 1000)
    assert config.runs["one"] == config.runs["two"]
    assert config.data.time_format == "%H:%M:%S"


def test_radii_that_only_rounding_puts_above_the_graph():
    for hundredths in range(30, 69):
        eps = hundredths / 100
        limit = {"graph": {"eps_max": (hundredths + 2) / 100}}
        validate({"cluster": {"self_paced": True, "eps": eps, "eps_gap": 0.02}} | limit, "x")
        with pytest.raises(UserError, match=r"eps \+ eps_gap"):
            validate({"cluster": {"self_paced": True, "eps": eps, "eps_gap": 0.021}} | limit, "x")


def test_values_given_as_strings_are_converted():
    """Nested values of `snakemake --config` arrive as strings."""
    config = validate({"cluster": {"eps": "0.45"}, "train": {"use_ppa": "false"}}, "x")
    assert config.cluster.eps == 0.45
    assert config.train.use_ppa is False


def test_dumped_yaml_reads_back_the_same():
    config = validate({"seed": 3, "cluster": {"eps": 0.45}, "data": {"root": "/x"}}, "x")
    assert validate(yaml.safe_load(dump_yaml(config)), "x") == config


def test_runs_are_variants_times_seeds():
    runs = expand_runs(
        {
            "seed": 1,
            "seeds": [1, 2],
            "cluster": {"eps": 0.5, "min_samples": 3},
            "runs": {"a": None, "b": {"cluster": {"eps": 0.6}}},
        },
        "x",
    )
    assert [run.name for run in runs] == ["a", "a-seed2", "b", "b-seed2"]
    assert [run.variant for run in runs] == ["a", "a", "b", "b"]
    assert [run.config.seed for run in runs] == [1, 2, 1, 2]
    assert [run.config.cluster.eps for run in runs] == [0.5, 0.5, 0.6, 0.6]
    assert {run.config.cluster.min_samples for run in runs} == {3}


def test_a_variant_can_have_a_seed_of_its_own():
    a, b = expand_runs({"seed": 1, "runs": {"a": {"seed": 4}, "b": {}}}, "x")
    assert (a.name, a.seed, a.config.seed) == ("a", 4, 4)
    assert (b.name, b.seed, b.config.seed) == ("b", 1, 1)
    with pytest.raises(UserError, match=r"x: runs\.a\.seed has no place beside seeds"):
        expand_runs({"seeds": [1, 2], "runs": {"a": {"seed": 4}}}, "x")


def test_a_seed_more_keeps_the_folder_of_the_first():
    before = expand_runs({"runs": {"a": {}}}, "x")
    after = expand_runs({"runs": {"a": {}}, "seeds": [0, 1]}, "x")
    assert before[0] == after[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runs": {"a": {"cluster": {"epss": 1}}}}, r"runs.a: unknown key `cluster.epss`"),
        ({"runs": {"a": {"results": "x"}}}, "runs.a.results cannot differ"),
        ({"runs": {"a": {}, "a-seed1": {}}, "seeds": [0, 1]}, "share a folder"),
        ({"runs": {"a/b": {}}}, "a/b"),
    ],
)
def test_mistakes_in_runs(values, message):
    with pytest.raises(UserError, match=message):
        expand_runs(values, "x")


def test_schema_accepts_the_shipped_configs():
    """The schema forbids unknown keys, as the loader does."""
    schema = json.loads(json_schema())
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Config.model_fields)
