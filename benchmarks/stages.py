"""Where the time of a run went: `python benchmarks/stages.py results/demo`.

Sums what Snakemake measured of each job (`benchmarks/*.tsv` in the folder of the run).
"""

import argparse
from pathlib import Path

import pandas as pd


def times(run: Path) -> pd.DataFrame:
    """Return jobs, seconds, seconds per job and peak MiB of each stage, the longest first."""
    parts = []
    for path in sorted((run / "benchmarks").rglob("*.tsv")):
        part = pd.read_csv(path, sep="\t", na_values="-")
        within = path.relative_to(run / "benchmarks").parts
        stage = "evaluate" if "evaluation" in within else path.stem
        parts.append(part.assign(stage="epochs" if within[0] == "epochs" and len(within) == 2
                                 else stage))  # fmt: skip
    if not parts:
        raise SystemExit(f"{run} has no benchmarks: is it the folder of a run?")
    groups = pd.concat(parts).groupby("stage")
    table = groups.agg(jobs=("s", "size"), seconds=("s", "sum"), peak=("max_rss", "max"))
    table["per job"] = table["seconds"] / table["jobs"]
    return table.sort_values("seconds", ascending=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run")
    table = times(parser.parse_args().run)
    print(table[["jobs", "seconds", "per job", "peak"]].round(2).to_string())
    print(f"all: {table['seconds'].sum():.1f} s")


if __name__ == "__main__":
    main()
