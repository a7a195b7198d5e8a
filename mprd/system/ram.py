"""What a stage will need in memory, from the sizes of its input; checked before it starts.

The formulas are upper estimates of the peak resident memory of a stage's process on a CPU,
fitted to measurements (`benchmarks/memory.py`, docs/explanation/scale.md): N images, D dims, all in
bytes. A process that the system kills after hours says nothing; this says it at once.
"""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil

from mprd.errors import UserError
from mprd.system import group
from mprd.system.threads import worker_count

MIB = 2**20
PIXEL_SHARE = 0.4  # pixels are held in memory if they take at most this share of what is free

_LIGHT = 220 * MIB  # Python, numpy, numba's kernels, faiss
_TORCH = 960 * MIB  # the same with torch and its compiled convolutions


def pixels_bytes(images: int, height: int, width: int) -> int:
    """Return the peak of stage `pixels`: blocks of 512 images and the index.

    Args:
        images: rows of the index; only their names are held.
        height: of the resized images.
        width: of the resized images.
    """
    return 120 * MIB + 4 * 512 * 3 * height * width + 600 * images


def graph_bytes(
    count: int, dim: int, k1: int, *, centred: bool, ivf_threads: int = 0, torch_block: int = -1
) -> int:
    """Return the peak of stage `graph`.

    A row has about 2.8 k1 members in its encoding, twice in memory (by row and by column), its
    neighbours and candidates.

    Args:
        count: N.
        dim: D.
        k1: of the reciprocal sets.
        centred: embeddings are compared around camera means, which takes a copy.
        ivf_threads: threads that search an inverted file, which takes a sorted copy and their work
            space; 0: another search.
        torch_block: bytes of similarities that torch holds at once; negative: no torch.
    """
    base = _LIGHT if torch_block < 0 else _TORCH + torch_block
    copies = 1 + centred + (ivf_threads > 0)
    return base + 4 * count * dim * copies + 115 * k1 * count + 120 * MIB * ivf_threads


def cluster_bytes(count: int, stored: int, k1: int, *, community: bool) -> int:
    """Return the peak of stage `cluster`; confident pairs are found in blocks of rows.

    Args:
        count: N.
        stored: distances in the graph.
        k1: neighbours kept in the graph.
        community: Leiden keeps the graph and its communities.
    """
    leiden = 350 * count + 60 * stored if community else 0
    return 150 * MIB + (200 + 4 * k1) * count + 60 * stored + leiden


def transitions_bytes(count: int, stored: int) -> int:
    """Return the peak of stage `transitions`; evidence is computed in blocks of pairs.

    Args:
        count: N.
        stored: distances in the graph.
    """
    return 600 * MIB + 100 * count + 60 * stored


def inference_bytes(largest: int, pixels: int, embeddings: int) -> int:
    """Return the peak of embedding images in batches.

    Args:
        largest: bytes of the largest feature map of a batch; 0 on a GPU.
        pixels: bytes of the images held.
        embeddings: bytes of all embeddings.
    """
    return _TORCH + pixels + 8 * largest + 3 * embeddings


def training_bytes(activations: int, images: int, weights: int, pixels: int) -> int:
    """Return the peak of training steps.

    Args:
        activations: bytes of all feature maps of an image; 0 on a GPU.
        images: in a step, all views.
        weights: bytes of the network; gradients and Adam's moments take three times as much.
        pixels: bytes of the images held.
    """
    return _TORCH + pixels + int(1.5 * activations * images) + 4 * weights


def relation_bytes(count: int, dim: int, cameras: int, k1: int) -> int:
    """Return what the relation GCN adds to training: centred copies, ranks, graph, blocks.

    Args:
        count: N.
        dim: D.
        cameras: number of cameras.
        k1: neighbours kept in the graph.
    """
    return 600 * MIB + count * (16 * dim + 2 * 4 * 14 * cameras + 60 * k1)


def ranks_bytes(count: int, dim: int, cameras: int) -> int:
    """Return the peak of stage `ranks`: embeddings, centred and sorted ones, ranks, work space.

    Args:
        count: N, perhaps all of one camera.
        dim: D.
        cameras: number of cameras.
    """
    work = 120 * MIB * worker_count(None)
    return _TORCH + work + count * (20 * dim + 4 * 4 * 14 * cameras)


def judge_bytes(count: int, dim: int, cameras: int, stored: int) -> int:
    """Return the peak of stage `judge`: embeddings and centred ones, ranks, pairs, blocks.

    Args:
        count: N.
        dim: D.
        cameras: number of cameras.
        stored: distances in the graph.
    """
    return _TORCH + 600 * MIB + count * (12 * dim + 4 * 14 * cameras) + 90 * stored


def evaluation_bytes(queries: int, gallery: int, dim: int, *, reranked: bool) -> int:
    """Return what the metrics add to the embeddings of query and gallery.

    Args:
        queries: Q.
        gallery: G.
        dim: D.
        reranked: a dense Q x G distance is made.
    """
    count = queries + gallery
    plain = 4 * count * dim + 256 * MIB + 1000 * queries
    if not reranked:
        return plain
    again = graph_bytes(count, dim, 20, centred=False) - _LIGHT
    return plain + again + 3 * 4 * queries * gallery


def time_bytes(gallery: int) -> int:
    """Return what times at search add to the metrics: evidence for 32 queries in each thread.

    Args:
        gallery: G.
    """
    return worker_count(None) * 32 * 100 * gallery


def held_pixels(size: int) -> int:
    """Return how much of `size` bytes of pixels will be held: all, or nothing where too many."""
    return size if size <= PIXEL_SHARE * _free(Path("/")) else 0


def require(stage: str, need: int, how_to_fix: str) -> None:
    """Say what a stage needs and what is free, on standard error; refuse what cannot work.

    Args:
        stage: its name.
        need: peak of the process, bytes.
        how_to_fix: what a user can do, a sentence.

    Raises:
        UserError: more is needed than is free.
    """
    free = usable()
    sizes = f"about {_gib(need)} GiB of memory, {_gib(free)} GiB are free"
    if need > free:
        raise UserError(f"Stage {stage} needs {sizes}. {how_to_fix}")
    print(f"mprd {stage}: needs {sizes}", file=sys.stderr)


def usable(root: Path = Path("/")) -> int:
    """Return the bytes that this process may come to use: free ones and those it has already.

    The limits of control groups (containers, batch systems) count.

    Args:
        root: where `sys` and `proc` are.
    """
    return _free(root) + psutil.Process().memory_info().rss


def _free(root: Path) -> int:
    """Return the bytes free on the machine, in the control groups and the batch job around us.

    Processes that share a stage have equal parts of it.
    """
    free = min([psutil.virtual_memory().available, *_group_free(root)]) // group.size()
    return min([free, *_job_free()])


def _job_free() -> list[int]:
    """Return what a SLURM job leaves of the memory it asked for; not each cluster has groups."""
    job = os.environ.get("SLURM_JOB_ID", "")
    limit = (_job_memory(job) if job.isdigit() else 0) // group.size()
    return [max(0, limit - psutil.Process().memory_info().rss)] if limit else []


@functools.cache
def _job_memory(job: str) -> int:
    """Return the bytes that a SLURM job asked for on this node; 0: the whole node, or unknown."""
    asked = ["scontrol", "show", "job", "--oneliner", job]
    try:
        text = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0  # a node without the command; control groups may still tell
    found = re.search(r"\bMinMemoryNode=([\d.]+)([MGT])\b", text)
    return int(float(found[1]) * MIB * 1024 ** "MGT".index(found[2])) if found else 0


def _group_free(root: Path) -> list[int]:
    """Return what each control group above this process leaves; version 2 and version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return []
    base = root / "sys/fs/cgroup"
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names, top = ("memory.max", "memory.current", ""), base
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            top = base / "memory"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            found += _free_in(folder, *names)
            if folder == top:
                break
    return found


def _free_in(folder: Path, limit: str, usage: str, prefix: str) -> list[int]:
    """Return what one control group leaves, files that may leave the cache included."""
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:  # the root group has no limit
        return []
    if most == "max":
        return []
    cache = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
    return [max(0, int(most) - used + cache)]


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f}"
