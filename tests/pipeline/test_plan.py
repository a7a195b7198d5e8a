"""The jobs of a run, over drawn configs: closed, in order, each file made once."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mprd.config import Config, Run, merge, validate
from mprd.errors import FINAL, UserError
from mprd.pipeline.files import files_read, files_written
from mprd.pipeline.layout import RunLayout, epoch_name
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES, stage
from mprd.stages import run_stage as calls
from tests.conftest import TINY

RUN = RunLayout(Path("results/run"))


@st.composite
def drawn_configs(draw) -> Config:
    method, relation = draw(
        st.sampled_from([("dbscan", "jaccard"), ("community", "jaccard"), ("community", "judged")])
    )
    flag = st.booleans()
    values = {
        "epochs": draw(st.integers(0, 4)),
        "epochs_per_job": draw(st.integers(1, 3)),
        "use_gcn": draw(flag),
        "data": {"dataset": draw(st.sampled_from(["market1501", "synthetic"]))},
        "graph": {
            "backend": draw(st.sampled_from(["auto", "ivf"])),
            "cameras": draw(st.sampled_from(["none", "center"])),
            "k1": 20,
        },
        "cluster": {"method": method, "relation": relation, "self_paced": draw(flag)},
        "train": {
            "memory": draw(st.sampled_from(["cluster", "camera"])),
            "use_hsd": draw(flag),
            "use_ppa": draw(flag),
        },
        "gcn": {
            "learn": draw(flag),
            "unlabelled": {"source": draw(st.sampled_from(["cameras", "strict", "views"]))},
        },
        "evaluate": {
            "every": draw(st.integers(0, 2)),
            "baselines": draw(st.sampled_from([[], ["random"], ["histogram", "random"]])),
        },
    }
    try:
        return validate(merge(TINY, values), "drawn")
    except UserError:
        assume(False)
        raise


def plan_of(config: Config) -> RunPlan:
    return RunPlan(Run(RUN.folder.name, "run", 0, config), lambda _: "", lambda _: "")


@settings(max_examples=80, deadline=None)
@given(config=drawn_configs())
def test_every_file_that_a_job_reads_is_made_by_one_before_it(config):
    plan = plan_of(config)
    made: dict[Path, tuple] = {}
    jobs = plan.freshness.jobs
    for job, files in jobs.items():
        assert set(files.reads) <= set(made), job
        assert {made[path] for path in files.reads} == set(files.after)
        assert not set(files.writes) & set(made), "each file is made once"
        made |= dict.fromkeys(files.writes, job)
    assert set(plan.results()) - set(made) == {plan.layout.config}
    assert all(path in made for path in plan.final_files())


@settings(max_examples=80, deadline=None)
@given(config=drawn_configs())
def test_every_job_of_the_table_is_planned(config):
    jobs = plan_of(config).freshness.jobs
    names = {name for name, *_ in jobs} - {"link"}
    assert names == {
        one.name for one in STAGES if one.exists(config) and one.place is not Place.DATA
    }
    for epoch in range(1, config.epochs + 1):
        step = {name for name, *where in jobs if where == [epoch_name(epoch)]} - {"evaluate"}
        assert step == {
            one.name
            for one in STAGES
            if one.exists(config) and one.place in (Place.STEP, Place.EPOCH)
        }


@settings(max_examples=40, deadline=None)
@given(config=drawn_configs())
def test_jobs_of_several_epochs_read_what_is_made_before(config):
    plan = plan_of(config)
    jobs = plan.freshness.jobs
    inside = {path for block in plan.blocks() for path in plan.block_outputs(*block)}
    made = {path for files in jobs.values() for path in files.writes} - inside
    for first, last in plan.blocks():
        assert first <= last <= config.epochs
        assert set(plan.block_inputs(first, last)) <= made
        made |= set(plan.block_outputs(first, last))
    assert [n for first, last in plan.blocks() for n in range(first, last + 1)] == list(
        range(1, config.epochs + 1)
    )


class Recorder:
    """Stands for `run_stage`: each file that a stage reads must have been written."""

    def __init__(self) -> None:
        self.made: set[Path] = set()
        self.jobs: list[tuple] = []

    def __call__(self, name, run, config, *, step=None, **more) -> None:
        one = stage(name)
        missing = set(files_read(one, run, step, config).values()) - self.made
        assert not missing, f"{name} {step} reads {missing}"
        self.made |= set(files_written(one, run, step, config).values())
        self.jobs.append((name, step))


@settings(max_examples=80, deadline=None)
@given(config=drawn_configs(), together=st.booleans())
def test_plain_calls_do_the_same_in_order(config, together):
    """`make_pseudo_labels` and `run_epochs` do the jobs of a plan, each when its files are made."""
    with pytest.MonkeyPatch.context() as patch:
        done = Recorder()
        patch.setattr(calls, "run_stage", done)
        for name in ("index", "pixels", "init"):
            done(name, RUN, config)
        if config.epochs:
            calls.make_pseudo_labels(RUN, 1, config)
            done("preview", RUN, config)
        if together:
            calls.run_epochs(RUN.folder, first=1, last=config.epochs, config=config)
        else:
            for epoch in range(1, config.epochs + 1):
                calls.run_epochs(RUN.folder, first=epoch, last=epoch, config=config)
        calls.make_pseudo_labels(RUN, FINAL, config)
        done("export", RUN, config, step=FINAL)
        for name in plan_of(config).evaluations():
            done("evaluate", RUN, config, step=name)
    names = [(name, epoch_name(at) if isinstance(at, int) else at or "") for name, at in done.jobs]
    assert len(set(names)) == len(names), "nothing is done twice"
    planned = {job for job in plan_of(config).freshness.jobs if job[0] != "link"}
    assert set(names) == planned - {("table", ""), ("report", "")}
