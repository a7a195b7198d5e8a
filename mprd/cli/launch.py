"""A stage in several processes, as `processes` says: torchrun starts them, one of them speaks."""

import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mprd.cli.interrupts import Stopped
from mprd.config import Config
from mprd.errors import UserError
from mprd.system import group
from mprd.system.threads import worker_count

_USER_ERROR = 2  # exit code of what a process has explained
_LOST = 75  # of a process whose group broke: another one tells why
_LOST_WORDS = re.compile("(closed|reset) by peer|Broken pipe|remote process exited")  # gloo, NCCL


def run_shared(config: Config, threads: int | None, stage: Callable[[], None]) -> None:
    """Run a stage of the network, in as many processes as the config asks for.

    Where that is more than one, this process starts them with its own command line, and waits.

    Args:
        config: `processes` is read.
        threads: of the CPU, of all processes together; None: all.
        stage: to be run.

    Raises:
        UserError: a process of the group was killed, or failed.
    """
    if config.processes > 1 and group.size() == 1:
        _require_gpus(config)
        _launch(config.processes)
        return
    try:
        _run(config, threads, stage)
    except (UserError, Stopped, RuntimeError) as error:
        if group.size() > 1:
            _end(error)
        raise


def _run(config: Config, threads: int | None, stage: Callable[[], None]) -> None:
    """Run a stage in this process, alone or as one of a group."""
    from mprd.system.torch_setup import set_up_cpu

    if group.size() > 1:
        threads = max(1, worker_count(threads) // group.size())
    set_up_cpu(threads)
    group.join(config.device)
    stage()
    group.leave()


def _end(error: UserError | Stopped | RuntimeError) -> None:
    """End a process of a group that an error has broken; the launching one tells the user why.

    An error that nobody foresaw is left to be raised.
    """
    if isinstance(error, UserError):
        _leave_word(str(error))
        code = _USER_ERROR
    elif isinstance(error, Stopped):
        code = error.exit_code
    elif _LOST_WORDS.search(str(error)):
        code = _LOST
    else:
        return
    # All is tidied. While an interpreter shuts down, its connections close one by one: others are
    # lost before this process has ended, and threads of gloo may abort.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave_word(sentence: str) -> None:
    """Tell the launching process why this one ends; of a group it alone speaks to the user."""
    path = Path(os.environ["TORCHELASTIC_ERROR_FILE"])
    words = json.dumps({"message": sentence, "timestamp": int(time.time())})
    # Whole or not at all: this process may be stopped any time, and torchrun reads the file.
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(words, encoding="utf-8")
    partial.replace(path)


def _require_gpus(config: Config) -> None:
    """Check that each process will have a GPU of its own, if GPUs are used."""
    if not group.uses_gpus(config.device):
        return
    import torch

    there = torch.cuda.device_count()
    if there < config.processes:
        raise UserError(
            f"processes is {config.processes}, but torch sees {there} CUDA devices. Set processes "
            "to that number or fewer, or device to cpu."
        )


def _launch(count: int) -> None:
    """Run this command line in a group of processes, and wait for them."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What went wrong is said in a sentence below. (Each of its loggers has a level of its own.)
    torchrun = logging.getLogger("torch.distributed.elastic")
    torchrun.propagate = False
    asked = AskedToEnd()
    torchrun.addHandler(asked)
    with tempfile.TemporaryDirectory() as folder:
        quiet = dict.fromkeys(range(1, count), Std.ALL)
        launch = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=f"mprd-{os.getpid()}",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",  # whatever name this machine is known by
            max_restarts=0,
            monitor_interval=0.2,
            start_method="spawn",
            logs_specs=DefaultLogsSpecs(log_dir=folder, redirects=quiet),
        )
        os.environ[group.WORKER] = "1"
        if sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        try:
            elastic_launch(launch, sys.executable)("-m", "mprd.cli", *sys.argv[1:])
        except SignalException as stopped:
            raise Stopped(stopped.sigval) from None
        except ChildFailedError as error:
            raise _explained(error, Path(folder), count, asked.pids) from None
        finally:
            torchrun.removeHandler(asked)
            del os.environ[group.WORKER]


class AskedToEnd(logging.Handler):
    """Hears from torchrun which processes it asks to end, after another one failed.

    Attributes:
        pids: of these processes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pids: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102
        if "closing signal" in str(record.msg) and isinstance(record.args, tuple):
            self.pids.add(int(str(record.args[0])))


def _explained(error: Exception, logs: Path, count: int, asked: set[int]) -> BaseException:
    """Return what a user is told of a group that failed: one sentence, by the first to fail.

    Args:
        error: of torchrun, with how each process ended.
        logs: folder of what they said.
        count: of processes.
        asked: the processes that torchrun has ended, by their ids.
    """
    failures = error.failures  # type: ignore[attr-defined]
    said = [f.error_file_data["message"] for _, f in sorted(failures.items())]
    mistakes = [text for text in said if text != "<NONE>"]  # torchrun's word for none
    if mistakes:
        return UserError(mistakes[0])
    # A process that a signal asked to end has tidied up, and gives 128 and its number.
    codes = {k: 128 - f.exitcode if f.exitcode > 128 else f.exitcode for k, f in failures.items()}
    # Those that lost the others, or that torchrun asked to end, are the last to be the cause. One
    # that a signal from outside ended comes before one that aborted: gloo may, once it lost it.
    ended = {k for k, f in failures.items() if f.pid in asked}
    rank = min(codes, key=lambda k: (k in ended, codes[k] == _LOST, codes[k], k))
    if codes[rank] < 0 or codes[rank] == _LOST:
        lost = codes[rank] == _LOST
        who = "A process" if lost else f"Process {rank + 1}"
        how = "lost" if lost else f"killed ({signal.Signals(-codes[rank]).name})"
        return UserError(
            f"{who} of {count} was {how}; the others were stopped, nothing is half-written. Run "
            "the same command again."
        )
    if codes.get(0) == _USER_ERROR:
        return SystemExit(_USER_ERROR)
    logged = [p.read_text().strip() for p in sorted(logs.rglob(f"{rank}/stderr.log"))]
    last = logged[-1].splitlines()[-1:] if logged else []
    words = last[0].removeprefix("mprd: error: ") if last else "Above is what it said."
    return UserError(f"Process {rank + 1} of {count} failed, and the others were stopped. {words}")
