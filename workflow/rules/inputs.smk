# What rules are given: inputs, outputs and commands, by the stage table.
def job_of(wildcards):
    """The plan of a job's run, and its step."""
    values = dict(wildcards.items())
    plan = OWNERS[values["key"]] if "key" in values else PLANS[values["run"]]
    if "epoch" in values:
        return plan, int(values["epoch"])
    if "step" in values:
        return plan, step_of(values["step"])
    return plan, values.get("evaluation")


@functools.cache
def written_records(plan):
    """Write what is new in the provenance of a run, newer than its results; name -> path.

    That happens when jobs are found and will run. A dry run writes nothing in the results: there
    files elsewhere stand for it, whose names are the reasons. All of a run are written before the
    first is looked at: Snakemake lists a folder once, and a job whose input came later is dropped.
    """
    new = [path for path in plan.records() if not path.exists()]
    if workflow.executor_plugin is not None and not workflow.dryrun:
        by_hand = plan.config_provenance.exists() and not plan.config_is_written()
        if new or by_hand:
            hold([plan])
        if by_hand:  # stages read it, and Snakemake sees that its record is the same
            with atomic(plan.layout.config, lock=False) as config_file:
                config_file.write_text(plan.config_text, encoding="utf-8")
        for path in new:
            plan.provenance.write(path)
        return {path: str(path) for path in new}
    folder = tempfile.mkdtemp(dir=REASONS.name)
    reasons = {}
    for path in new:
        reason = f"{path.name.rpartition('-')[0]} {plan.provenance.difference(path)}"
        reasons[path] = os.path.join(folder, reason.replace(os.sep, " ")[:200])
        with open(reasons[path], "w"):
            pass
    return reasons


def recorded(plan, provenance):
    """The provenance of a stage as an input: newer than the results after a change."""
    if not workflow.is_main_process:
        return str(provenance)
    return written_records(plan).get(provenance, str(provenance))


def with_settings(home, files, done):
    """Input of a job: its files and the settings of its run, flagged by whether it is done."""
    settings = str(home.config)
    if not done:
        return files | {"settings": settings}
    # Files that were touched or copied are newer but hold the same. The settings of a run change
    # more often than its stages run, and no job may wait for them without need: Snakemake passes
    # over all that follows from an ancient file in the making.
    old = {"settings": ancient(before_update(settings))}
    return ancient_files(files) | (old if os.path.exists(settings) else {})


def ancient_files(files):
    """Files by name, or lists of them, that run no job by their times."""
    return {
        key: (
            [ancient(path) for path in value]
            if isinstance(value, list)
            else ancient(value)
        )
        for key, value in files.items()
    }


def reads(name):
    """Input of a rule: what the stage table says, and the provenance of the stage."""

    def files(wildcards):
        plan, step = job_of(wildcards)
        step = FINAL if name == "export" else step
        found = {key: str(path) for key, path in plan.reads(name, step).items()}
        found["more"] = [str(path) for path in plan.reads_also(name)]
        if provenance := plan.provenance_file(name, step):
            found["provenance"] = recorded(plan, provenance)
        return with_settings(plan.home(name), found, plan.done(name, step))

    return files


def writes(name, conditional=False):
    """Output of a rule: what the stage table says."""
    found = patterns(name, RESULTS, conditional=conditional)
    kept = looking_back(name)
    return {
        role: update(str(path)) if role in kept else str(path)
        for role, path in found.items()
    }


def command(wildcards, output, threads):
    """The shell command of a stage."""
    plan, step = job_of(wildcards)
    name = stage_making(Path(output[0]))
    step = FINAL if name == "export" else step
    return shlex.join(plan.command(name, step, threads))


def runs_where(condition):
    """Wildcard pattern of the runs for which a condition holds; matches nothing if none."""
    names = [name for name, plan in PLANS.items() if condition.holds(plan.config)]
    return "|".join(map(re.escape, names)) or "(?!)"


def block_command(plan, first, last, wildcards, threads):
    """The shell command of a job of several epochs."""
    words = [
        "mprd",
        "epochs",
        "--config",
        plan.layout.config,
        "--run",
        plan.layout.folder,
    ]
    words += ["--first", first, "--last", last, "--threads", threads]
    return shlex.join(map(str, words))


def block_reads(plan, first, last, wildcards):
    """Input of a job of several epochs."""
    files = {"files": [str(path) for path in plan.block_inputs(first, last)]}
    provenance = plan.block_provenance(first, last)
    files["provenance"] = [recorded(plan, path) for path in provenance]
    return with_settings(plan.layout, files, plan.block_done(first, last))


def settings_record(plan):
    """What changes with any setting of a run."""
    record = recorded(plan, plan.config_provenance)
    return ancient(record) if plan.config_is_written() else record


def linked_file(plan, name):
    """The file in a shared folder that a file of a run is a link to, and a record of which."""
    files = {"shared": str(plan.shared_source(name))}
    files["record"] = recorded(plan, plan.link_record(name))
    return ancient_files(files) if plan.link_done(name) else files


def synthetic_images(wildcards):
    """The folder of an index's images, if they are drawn."""
    folder = OWNERS[wildcards.key].synthetic
    return ancient(str(folder)) if folder else []


def settings_of_images(wildcards):
    """The settings that images are drawn by; none where they are there."""
    drawn = os.path.isdir(wildcards.folder)
    return [] if drawn else str(SYNTHETIC[wildcards.folder].home("index").config)


def of_all_runs(name):
    """Input of a rule that reads a file of each run."""
    files = TOGETHER.jobs[(name,)]
    flag = ancient if TOGETHER.done((name,), files.writes) else str
    return [flag(str(path)) for path in files.reads]
