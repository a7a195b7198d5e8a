"""Commands in forks of a process that has imported them: else most of a tiny one is its imports.

`python()` names a program that stands for Python: `-m mprd.cli ...` and `-m snakemake ...` go to
the server, with their arguments, directory, environment, streams and limit of the size of files.
It runs the same `main` in a fork, and answers with its exit code. SIGINT and SIGTERM are passed on;
where the program is killed, so is the fork.

Snakemake calls `mprd` in a shell. `environment()` has a shell function of this name, which does the
same.
"""

import atexit
import contextlib
import fcntl
import functools
import importlib
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path

CLIENT = """
import json, os, resource, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ), limit]).encode()
    socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(asked)
    fork = int.from_bytes(server.recv(4), "big")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(fork, number))
    code = int.from_bytes(server.recv(2) or b"?", "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""

_KNOWN = "MPRD_STAGE_SERVER"  # names the socket of a server to the processes below
_kept: list[object] = []  # for as long as this process lives

STAND_IN = """#!/usr/bin/env bash
case "$1 $2" in
"-m mprd.cli" | "-m snakemake" | "-m mprd.pipeline.snakemake_process") shift; exec {call} "$@" ;;
esac
exec {python} "$@"
"""


def start() -> None:
    """Start a server for this process and those that it starts; it ends with this process."""
    os.environ[_KNOWN] = str(_address())


@functools.cache
def _address() -> Path:
    """Return where a server listens, of this process or of one above; start it where there is none.

    Until it has imported all, connections wait.
    """
    if known := os.environ.get(_KNOWN):
        return Path(known)
    folder = tempfile.TemporaryDirectory(prefix="mprd-stages-")
    address = Path(folder.name) / "socket"
    stand_in = address.with_name("python")
    words = {"call": _call(address), "python": shlex.quote(sys.executable)}
    stand_in.write_text(STAND_IN.format(**words))
    stand_in.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        number = listener.fileno()
        code = f"from tests.stage_server import serve; serve({number}, {str(stand_in)!r})"
        server = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            pass_fds=[number],
        )
    _kept.append((server, folder))
    return address


def _call(address: Path) -> str:
    """Return the words of a shell that send the arguments behind them to the server."""
    return shlex.join([sys.executable, "-I", "-S", "-c", CLIENT, str(address)])


def python() -> str:
    """Return the program that stands for Python."""
    return str(_address().with_name("python"))


@functools.cache
def environment() -> dict[str, str]:
    """Return the environment that makes shells use the server."""
    return {"BASH_FUNC_mprd%%": f'() {{ {_call(_address())} mprd.cli "$@"; }}'}


def serve(number: int, stand_in: str) -> None:
    """Answer on a socket until the process that started the server is gone."""
    parent = os.getppid()
    programs = _programs()
    os.fsync = lambda descriptor: None  # as in conftest.py
    sys.executable = stand_in  # for what forks start
    with socket.socket(fileno=number) as listener:
        listener.settimeout(1)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                _answer(listener, programs)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _programs() -> dict[str, Callable[[], object]]:
    """Import all that commands could; return module -> its `main`."""
    import numba
    import smart_open  # noqa: F401 - Snakemake reads a workflow by it
    import snakemake.cli

    import mprd.cli
    from mprd.config import Config
    from mprd.pipeline import plan, snakemake_process  # noqa: F401 - the Snakefile has a plan
    from mprd.pipeline.code_digest import code_digest
    from mprd.pipeline.stages import STAGES

    snakemake.cli.get_argument_parser()  # looks for plugins once
    numba.njit(lambda: 0)()  # it loads the most at its first call
    pieces = ("mprd.models.backbones.mini", "mprd.gcn.networks.dgcnn", "faiss", "timm")
    for name in (*(one.run.partition(":")[0] for one in STAGES), *pieces):
        importlib.import_module(name)
    for one in STAGES:
        code_digest(one.name, Config())  # reads the code once
    _warm_up()
    return {
        "mprd.cli": mprd.cli.main,
        "snakemake": snakemake.cli.main,
        "mprd.pipeline.snakemake_process": snakemake_process.main,
    }


def _warm_up() -> None:
    """Do once what each fork would do: load compiled kernels, put the commands together."""
    import numpy as np
    import typer.main

    import mprd
    from mprd.cli.app import app
    from mprd.config import validate

    command = typer.main.get_command(app)
    typer.main.get_command = lambda _: command
    who, camera = np.divmod(np.arange(60), 5)
    features = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    for method in ("linkage", "dbscan", "community"):
        values = {"cluster": {"method": method}, "graph": {"k1": 6, "k2": 2, "eps_max": 0.97}}
        mprd.cluster_features(features, validate(values, "tests"), camera, threads=1)
    mprd.evaluate(features, who, camera, features, who, camera, top=5)
    # A fork has the one that asked for it only: what waits for others would wait for ever. Those
    # that have ended stay in the list for a moment.
    late = time.monotonic() + 20
    while len(os.listdir("/proc/self/task")) > 1:
        assert time.monotonic() < late, "the server has threads"
        time.sleep(0.01)


def _answer(listener: socket.socket, programs: dict[str, Callable[[], object]]) -> None:
    """Take one connection and let a fork do what it asks for; another one tells how it ended."""
    connection, _ = listener.accept()
    if os.fork():
        connection.close()
        return
    listener.close()
    connection.settimeout(None)
    if fork := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(code.to_bytes(2, "big", signed=True))
        os._exit(0)
    code = 1
    atexit._clear()  # what others registered before
    weakref.finalize._registry.clear()
    weakref.finalize._registered_with_atexit = False  # so that temporary folders go
    try:
        code = _run(connection, programs)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(connection: socket.socket, programs: dict[str, Callable[[], object]]) -> int:
    """Become the process that the client would have been; return its exit code."""
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    rest = int.from_bytes(size, "big")
    asked = bytearray()
    while len(asked) < rest:
        asked += connection.recv(rest - len(asked))
    (program, *arguments), folder, variables, limit = json.loads(asked)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout, sys.stderr = map(os.fdopen, (1, 2), "ww")
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    signal.set_wakeup_fd(-1)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    sys.argv = [program, *arguments]
    connection.sendall(os.getpid().to_bytes(4, "big"))
    _end_with(connection)
    try:
        programs[program]()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def _end_with(connection: socket.socket) -> None:
    """Kill this process when the client is gone; it sends nothing more."""
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(connection, fcntl.F_SETFL, os.O_ASYNC)
