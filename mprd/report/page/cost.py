"""Time and memory of the stages."""

from pathlib import Path

import pandas as pd

from mprd.artifacts.csv_rows import for_pandas
from mprd.report.page.blocks import Plots, Section, Table, Text
from mprd.report.page.plots import bars
from mprd.report.page.run_data import RunData


def cost(run: RunData) -> Section:
    """Return seconds and peak memory by stage, from what Snakemake measured."""
    title = "Time and memory"
    measured = jobs(run)
    if measured.empty:
        return Section("cost", title, blocks=(Text("Nothing was measured: no benchmark files."),))
    stages = measured.groupby("stage").agg(
        jobs=("s", "size"), seconds=("s", "sum"), longest=("s", "max"), memory=("max_rss", "max")
    )
    stages = stages.sort_values("seconds", ascending=False)
    rows = [
        (str(name), f"{r.jobs:.0f}", f"{r.seconds:.1f}", f"{r.longest:.1f}", f"{r.memory:,.0f}")
        for name, r in stages.iterrows()
    ]
    total = f"All stages together {duration(stages['seconds'].sum())}"
    return Section(
        "cost",
        title,
        f"{total}. Peak memory of one process: {stages['memory'].max():,.0f} MiB.",
        (
            Plots([bars("seconds", list(stages.index), stages["seconds"].tolist(), "seconds")]),
            Table(("stage", "jobs", "seconds", "longest job, s", "peak memory, MiB"), rows),
        ),
    )


def jobs(run: RunData) -> pd.DataFrame:
    """Return what Snakemake measured of each job, and its stage; empty: nothing."""
    files = sorted(run.layout.benchmarks.rglob("*.tsv"))
    frames = [
        pd.read_csv(for_pandas(f), sep="\t", na_values="-").assign(stage=_stage(f)) for f in files
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _stage(file: Path) -> str:
    """Return the stage of a benchmark file: its name, or what its folder holds."""
    return {"evaluation": "evaluate", "epochs": "epochs"}.get(file.parent.name, file.stem)


def duration(seconds: float) -> str:
    """Return seconds in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
