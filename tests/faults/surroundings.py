"""Every command of `mprd` in surroundings that nobody planned for: a sentence, never a traceback.

The commands come from the application, their arguments from the types and names of its parameters:
a new command is tried by itself. One process imports everything once; each try is a fork of it.
"""

import codecs
import contextlib
import fcntl
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import stat
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

NOBODY = 65534
FILES = 64
_SECONDS = 120.0
_OTHER_RUNS = ("recluster",)  # the run has no tree to cut
_SERVED = ("answer", "audit", "browse")  # they serve a page until Ctrl-C


@dataclass(frozen=True)
class Surroundings:
    """Where and as whom a command is run.

    Attributes:
        name: of the row.
        enter: changes the process; gets the folder of the product and an empty one.
        root: only root can make them.
        refused: every command that writes ends with a sentence, none works for long.
        works: every command does what it is for.
    """

    name: str
    enter: Callable[[Path, Path], None]
    root: bool = False
    refused: bool = False
    works: bool = False


def _in(name: str | bytes) -> Callable[[Path, Path], None]:
    """Return what goes into a new folder of a name."""

    def enter(product: Path, empty: Path) -> None:
        folder = os.path.join(os.fsencode(empty), os.fsencode(name))
        os.mkdir(folder)
        os.chdir(folder)

    return enter


def _nobody(product: Path, empty: Path) -> None:
    os.chdir(product)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _nobody_outside(product: Path, empty: Path) -> None:
    """A user who may not even look into the results."""
    os.chmod(product / "results", 0o700)
    os.chmod(empty, 0o777)
    os.chdir(empty)
    _become_nobody()


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _no_home(product: Path, empty: Path) -> None:
    os.chdir(empty)
    for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        os.environ.pop(name, None)
    os.chmod(empty, 0o777)
    os.setgroups([])
    os.setgid(54321)
    os.setuid(54321)  # whom no list of users names


def _read_only_here(product: Path, empty: Path) -> None:
    """Results that can be written, from a folder that cannot."""
    for path in (product, *product.rglob("*")):
        if path.is_dir():
            os.chown(path, NOBODY, NOBODY)
    os.chdir(empty)
    _become_nobody()


def _few_files(product: Path, empty: Path) -> None:
    os.chdir(empty)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def _ascii(product: Path, empty: Path) -> None:
    os.chdir(empty)
    os.environ.update(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="ascii", errors="strict")  # type: ignore[union-attr]


def _deleted(product: Path, empty: Path) -> None:
    (empty / "gone").mkdir()
    os.chdir(empty / "gone")
    os.rmdir(empty / "gone")


def _full(product: Path, empty: Path) -> None:
    """A disk that takes nothing more."""
    os.chdir(empty)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))


TABLE = (
    Surroundings("another user's results", _nobody, root=True, refused=True),
    Surroundings("results that nobody may see", _nobody_outside, root=True, refused=True),
    Surroundings("a current folder that is read-only", _read_only_here, root=True),
    Surroundings("no home and no name", _no_home, root=True),
    Surroundings("64 open files", _few_files, works=True),
    Surroundings("the C locale", _ascii, works=True),
    Surroundings("a full disk", _full, refused=True),
    Surroundings("a folder that was deleted", _deleted, refused=True),
    Surroundings("a folder with braces", _in("im{g}"), works=True),
    Surroundings("a folder with spaces and quotes", _in('it\'s a "new" folder'), works=True),
    Surroundings("a folder that is no UTF-8", _in(b"M\374ller")),
)


def leaves(
    command: Any = None, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words of each command that does something, and the command."""
    from mprd.cli.app import app

    command = command or typer.main.get_command(app)
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for name, one in below.items():
        yield from leaves(one, (*words, name))


def arguments(words: tuple[str, ...], command: Any, product: Path) -> list[str]:
    """Return words and arguments of a command that works in usual surroundings."""
    known = _values(words, product)
    given: list[str] = list(words)
    last: list[str] = []
    for one in command.params:
        if one.name == "help" or not (one.required or one.name in known["optional"]):
            continue
        value = known.get(one.name) or _by_type(one, product)
        if one.param_type_name == "argument":
            last += value if isinstance(value, list) else [value]
        elif getattr(one, "is_flag", False):
            given.append(one.opts[0] if value == "true" else one.secondary_opts[0])
        else:
            given += [one.opts[0], *(value if isinstance(value, list) else [value])]
    return [*given, *last, *known.get("also", ())]


def _by_type(parameter: Any, product: Path) -> str:
    """Return a value for a parameter that nobody thought of."""
    if parameter.type_descriptor.annotation in (int, float):
        return str(parameter.min or 1)
    return str(product / "results/judged/config.yaml")


def _values(words: tuple[str, ...], product: Path) -> dict[str, Any]:
    """Return parameter -> value, for one command; `optional`: those that are given, too."""
    from mprd.config import load_config
    from mprd.errors import FINAL
    from mprd.pipeline.files import files_read, output_arguments
    from mprd.pipeline.layout import RunLayout
    from mprd.pipeline.stage import Place
    from mprd.pipeline.stages import STAGES

    name, run = words[-1], RunLayout(product / "results/judged")
    image = str(product / "images/bounding_box_train")
    known: dict[str, Any] = {
        "run": str(run.folder),
        "runs": str(run.folder),
        "config": str(run.config),
        "file": str(run.config),
        "folder": image,
        "files": str(run.folder),
        "images": image,
        "queries": image,
        "gallery": str(run.final.embeddings),
        "model": str(run.final.model),
        "index": str(run.index),
        "a": str(run.epoch(1).clusters),
        "b": str(run.epoch(2).clusters),
        "tables": f"judged={run.table}",
        "features": str(product / "features.npy"),
        "out": "out.csv",
        "root": str(product),
        "finer": "true",
        "browser": "false",
        "optional": {"browser", "queries", "images", "root"},
    }
    special: dict[str, dict[str, Any]] = {
        "run": {
            "config": str(product / "config.yaml"),
            "optional": {"cores"},
            "cores": "1",
            "also": ["--dry-run"],
        },
        "add": {"images": str(product / "images/query"), "optional": {"images"}},
        "embed": {"out": "out.npy"},
        "search": {"optional": {"queries", "model", "html"}, "html": "found.html"},
        "new": {"out": "new.yaml", "optional": {"out"}},
        "export-to": {"format": "csv", "out": "exported"},
        "import": {"table": str(product / "identities.csv")},
        "recluster": {"optional": {"finer"}},
        "report": {"optional": {"out"}, "out": "r.html"},
        "onnx": {"out": "m.onnx"},
        "epochs": {"first": "1", "last": "1", "optional": {"config"}},
        "synthesize": {
            "optional": {"config", "threads"},
            "out": "d",
            "threads": "1",
            "config": str(product / "small.yaml"),
        },
    }
    stage = next((one for one in STAGES if one.name == name and not one.command), None)
    if stage is not None and name not in special and name not in ("table", "report"):
        config = load_config(run.config)
        steps = {Place.STEP: 1, Place.EPOCH: 1, Place.FINAL: FINAL, Place.EVALUATION: "001"}
        step = steps.get(stage.place)
        found = {r.name: str(p) for r, p in files_read(stage, run, step, config).items()}
        found |= {k: str(p) for k, p in output_arguments(stage, run, step, config).items()}
        known |= found | {"epoch": "1", "optional": {*found, "config"}}
    return known | special.get(name, {})


def prepare(run: Path, images: Path, product: Path) -> None:
    """Copy a finished run to where every user can read it.

    Args:
        run: folder of the run, called judged.
        images: of the run.
        product: folder to make.
    """
    import numpy as np

    from mprd.artifacts import INDEX, read_artifact
    from mprd.decisions.entry import Decision, Kind
    from mprd.decisions.log import DecisionLog

    shutil.copytree(run, product / "results/judged", symlinks=True)
    log = DecisionLog(product / "results/judged/decisions.csv")
    paths = read_artifact(product / "results/judged/index.h5", INDEX)["path"]
    log.append(Decision(Kind.SAME, (str(paths[0]),), (str(paths[1]),)))
    shutil.copytree(images, product / "images")
    values = yaml.safe_load((run / "config.yaml").read_text())
    values |= {"results": str(product / "results"), "runs": {"judged": {}}}
    (product / "config.yaml").write_text(yaml.safe_dump(values))
    few = {"train_identities": 2, "test_identities": 2, "distractors": 0, "cameras": 2}
    first = min((product / "images/bounding_box_train").iterdir()).name
    named = f"path,identity\nbounding_box_train/{first},Ann\n"
    (product / "identities.csv").write_text(named)
    (product / "small.yaml").write_text(yaml.safe_dump({"data": {"synthetic": few}}))
    for name in ("docs", "config"):
        (product / name).mkdir()
    np.save(product / "features.npy", np.random.default_rng(0).normal(size=(40, 8)))
    for path in (product, *product.rglob("*")):
        if path.suffix == ".lock":
            path.unlink()
        elif not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IRGRP | stat.S_IROTH | _search(path))


def _search(path: Path) -> int:
    return stat.S_IXGRP | stat.S_IXOTH if path.is_dir() else 0


def tries(*, long: bool) -> Iterator[tuple[Surroundings, tuple[str, ...], Any]]:
    """Yield surroundings, and a command in them.

    Args:
        long: all in all; else each command where it is refused at once, and in one more row.
    """
    from mprd.pipeline.stages import STAGES

    stages = {one.name for one in STAGES}
    for number, row in enumerate(TABLE):
        if row.root and os.geteuid() != 0:
            continue
        for words, command in leaves():
            at_once = row.enter is _deleted or (row.enter is _nobody and words[-1] in stages)
            mine = zlib.crc32(words[-1].encode()) % len(TABLE) == number
            if long or at_once or mine:
                yield row, words, command


def fault(row: Surroundings, words: tuple[str, ...], command: Any, product: Path) -> str:
    """Run a command in a fork; return what is wrong with its end, "" where nothing is."""
    with tempfile.TemporaryDirectory() as place:
        copy, empty = Path(place) / "copy", Path(place) / "empty"
        os.chmod(place, 0o755)
        if row.enter in (_nobody, _deleted):  # nothing can change
            copy = product
        else:  # links suffice: mprd replaces files, and never changes one
            shutil.copytree(product, copy, symlinks=True, copy_function=os.link)
        empty.mkdir()
        given = arguments(words, command, copy)
        reading, writing = os.pipe()  # a file would be cut where the disk is full
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 2**20)
        child = os.fork()
        if not child:
            _child(row, given, copy, empty, writing)
        os.close(writing)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with open(reading, errors="replace") as said:
            text = said.read()
    if "--show" in sys.argv:
        print(f"{row.name}: {' '.join(words)}: {code}: {text[-400:]}\n", flush=True)
    wrong = []
    if code not in ((0,) if row.works and words[-1] not in _OTHER_RUNS else (0, 2)):
        wrong.append(f"exit code {code}")
    if "Traceback" in text:
        wrong.append("a traceback")
    if code == 2 and "error: " not in text.lower():
        wrong.append("no sentence")
    return f"{row.name}: mprd {' '.join(words)}: {', '.join(wrong)}\n{text}" if wrong else ""


def _child(row: Surroundings, given: list[str], product: Path, empty: Path, said: int) -> None:
    """Be the process of the command; never returns."""
    from mprd.cli import console, main
    from mprd.system.caches import provide_caches

    code = 70
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for number, stream in ((0, null), (1, said), (2, said)):
            os.dup2(stream, number)
        os.close(said)
        os.close(null)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        row.enter(product, empty)
        provide_caches()
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 1.0 if given[0] in _SERVED else _SECONDS)
        sys.argv = ["mprd", *given]
        console.relay = _relay
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        sys.stdout.flush()
    except BaseException:
        code = 70
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _relay(command: list[str], logs: list[Path], look: Callable[[], None]) -> int:
    """Be Snakemake, too: another interpreter takes seconds."""
    import snakemake.cli

    try:
        snakemake.cli.main(command[3:])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def warm() -> None:
    """Import all that a command could: another user may not read the packages."""
    import mprd

    codecs.lookup("utf-8-sig")
    for name in ("torchvision", "timm", "sklearn.cluster", "onnx", "faiss", "snakemake.cli"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for module in pkgutil.walk_packages(mprd.__path__, "mprd."):
        if "__main__" not in module.name and "triton" not in module.name:
            importlib.import_module(module.name)
    "".encode("utf-8-sig")  # a codec is a module, too


def main() -> None:
    """Try everything; print what is wrong as JSON, one line."""
    product, long = Path(sys.argv[1]), "--long" in sys.argv
    only = [word for word in sys.argv[2:] if not word.startswith("-")]
    warm()
    found, count = [], 0
    for row, words, command in tries(long=long):
        if only and not any(word in f"{row.name} {' '.join(words)}" for word in only):
            continue
        count += 1
        if said := fault(row, words, command, product):
            found.append(said)
    print(json.dumps({"tries": count, "faults": found}))


if __name__ == "__main__":
    main()
