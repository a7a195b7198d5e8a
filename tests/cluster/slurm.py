"""A real SLURM on this machine: munge, controller and one node, from Debian's packages.

Also what a cluster needs at least for mprd: a node with cores, memory and, as a name only here, a
GPU (`GresTypes=gpu`). SLURM's jobs find their configuration in /etc/slurm alone, so this must be a
machine without a SLURM of its own, and root.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
ETC = Path("/etc/slurm")
CORES, MEMORY = 2, 12_000  # MiB

CONF = """
ClusterName=mprd
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
# A job's memory is watched, and a job above what it asked for is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
KillWait=2
MinJobAge=3000
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Return why no SLURM can be started here, "" if one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm munge"
    if os.getuid() != 0:
        return "a SLURM can be started by root only"
    if (ETC / "slurm.conf").exists():
        return "this machine has a SLURM of its own (/etc/slurm/slurm.conf)"
    return ""


class Cluster:
    """A running SLURM; a context."""

    def __init__(self, folder: Path) -> None:
        """Take a folder for its state; munge wants its parents to be root's own."""
        self.folder = folder

    def __enter__(self) -> "Cluster":
        """Start it, and wait until its node is idle."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        host = os.uname().nodename
        text = CONF.format(folder=self.folder, host=host, cores=CORES, memory=MEMORY)
        ETC.mkdir(exist_ok=True)
        (ETC / "slurm.conf").write_text(text)
        # Without a file behind it SLURM drops a resource that is called gpu.
        (ETC / "gres.conf").write_text("AutoDetect=off\nName=gpu Count=1 File=/dev/null\n")
        munged = ["munged", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket"]
        munged += [f"--{name}-file={self.folder}/munged.{name}" for name in ("pid", "log", "seed")]
        for command in (munged, ["slurmctld", "-c"], ["slurmd"]):
            subprocess.run(command, check=True)
        self._wait(lambda: "idle" in said("sinfo", "--noheader", "--format=%T"))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and take its configuration away."""
        for name in ("slurmd", "slurmctld", "munged"):
            pid = int((self.folder / f"{name}.pid").read_text())
            os.kill(pid, 15)
            self._wait(lambda pid=pid: not Path(f"/proc/{pid}").exists())
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink()

    @staticmethod
    def _wait(condition, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "SLURM does not start or stop"
            time.sleep(0.2)


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def jobs() -> list[dict[str, str]]:
    """Return what SLURM knows of every job, also of ended ones, by the first to be submitted.

    `rule` is the rule's name, which the executor writes into the comment.
    """
    found = []
    for text in said("scontrol", "show", "job", "--oneliner").splitlines():
        fields = dict(re.findall(r"(\w[\w/:]*)=(\S*)", text))
        if "JobId" in fields:
            fields["rule"] = re.sub(r"^rule_|_wildcards.*$", "", fields.get("Comment", ""))
            found.append(fields)
    return sorted(found, key=lambda fields: int(fields["JobId"]))
