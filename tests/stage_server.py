"""Stages in forks of a process that has imported them: most of a tiny stage is the start of Python.

Snakemake calls `mprd` in a shell. A shell function of this name, inherited through the environment,
goes before the program; it sends arguments, directory, environment and streams to the server, which
runs the same `main` in a fork and answers with its exit code.
"""

import contextlib
import functools
import importlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(asked)
    code = server.recv(1)
sys.exit(code[0] if code else 137)
"""


@functools.cache
def environment() -> dict[str, str]:
    """Start a server for this process; return the environment that makes shells use it."""
    folder = tempfile.TemporaryDirectory(prefix="mprd-stages-")
    address = Path(folder.name) / "socket"
    code = f"from tests.stage_server import serve; serve({str(address)!r})"
    server = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
    )
    assert server.stdout.readline() == b"ready\n"
    server.folder = folder  # both live as long as the cache
    call = shlex.join([sys.executable, "-I", "-S", "-c", CLIENT, str(address)])
    return {"BASH_FUNC_mprd%%": f'() {{ {call} "$@"; }}'}


def serve(address: str) -> None:
    """Answer until the process that started the server is gone."""
    import mprd.cli  # noqa: F401
    from mprd.pipeline.stages import STAGES

    for one in STAGES:
        importlib.import_module(one.run.partition(":")[0])
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        listener.settimeout(1)
        print("ready", flush=True)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                _answer(listener)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _answer(listener: socket.socket) -> None:
    """Take one connection and let a fork do what it asks for."""
    connection, _ = listener.accept()
    if os.fork():
        connection.close()
        return
    listener.close()
    connection.settimeout(None)
    code = 1
    try:
        code = _run(connection)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([code]))
        os._exit(code)


def _run(connection: socket.socket) -> int:
    """Become the process that the client would have been; return its exit code."""
    from mprd.cli import main

    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    rest = int.from_bytes(size, "big")
    asked = bytearray()
    while len(asked) < rest:
        asked += connection.recv(rest - len(asked))
    arguments, folder, variables = json.loads(asked)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout, sys.stderr = map(os.fdopen, (1, 2), "ww")
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    signal.set_wakeup_fd(-1)
    sys.argv = ["mprd", *arguments]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
