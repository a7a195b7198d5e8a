"""The rank of an image among the images of its camera, as another image sees it.

For each image and camera only the similarities at a few ranks are kept, so that the table stays
small for any number of images. A track counts once, as its first image: near-duplicate frames would
push all others behind. Where the graph's neighbours were searched approximately, these
similarities are too, with an inverted file for each camera: comparing all images with all others is
what would break first.
"""

import numpy as np
import torch
from torch import Tensor

from mprd.clustering.tracks import TrackGroups
from mprd.graph.inverted_file import InvertedFile, single_threads
from mprd.graph.neighbors import faiss_threads
from mprd.system.threads import map_blocks

# Fine where it matters: most identities have a handful of images in a camera.
LEVELS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)
_ABSENT = -2.0
_ROUNDING = 1e-5  # an image is not nearer than itself, however its cosine is computed
_BLOCK_ELEMENTS = 2**24


def own_profile(features: Tensor, cameras: Tensor, tracks: TrackGroups) -> Tensor:
    """Return the cosine at each level of every camera's images, for all images.

    Args:
        features: float32 (N, D), unit rows.
        cameras: int64 (N,), 0..C-1, each of some image.
        tracks: whose first images are ranked; no image sees its own track.

    Returns:
        float32 (N, C, L); -2 where a camera has fewer images.
    """
    count = int(cameras.max()) + 1 if len(cameras) else 0
    first, group = (torch.from_numpy(r).to(cameras.device) for r in (tracks.first, tracks.group))
    if tracks.shared:
        return camera_profile(features, features[first], cameras[first], count, group)
    return camera_profile(features, features, cameras, count, group)


def camera_profile(
    looking: Tensor, seen: Tensor, cameras: Tensor, count: int, own: Tensor | None
) -> Tensor:
    """Return the cosine at each level of every camera's images.

    Args:
        looking: float32 (m, D), unit rows, the images that look.
        seen: float32 (N, D), unit rows, the images that are ranked.
        cameras: int64 (N,), their cameras 0..C-1.
        count: number of cameras C.
        own: int64 (m,), the row among those seen that each looking image does not see: itself, or
            the first image of its track; None: it sees all.

    Returns:
        float32 (m, C, L); -2 where a camera has fewer images.
    """
    sizes = torch.bincount(cameras, minlength=count).tolist()
    order = torch.argsort(cameras, stable=True)
    profile = seen.new_full((len(looking), len(sizes), len(LEVELS)), _ABSENT)
    ranks = torch.tensor(LEVELS, device=seen.device) - 1
    levels = [sum(level <= size for level in LEVELS) for size in sizes]
    step = max(1, _BLOCK_ELEMENTS // len(seen))
    for start in range(0, len(looking), step):
        product = looking[start : start + step] @ seen.T
        if own is not None:
            product.scatter_(1, own[start : start + step, None], _ABSENT)
        for camera, columns in enumerate(order.split(sizes)):
            width = min(LEVELS[-1], len(columns))
            best = product[:, columns].topk(width, dim=1).values
            known = levels[camera]
            profile[start : start + step, camera, :known] = best[:, ranks[:known]]
    return profile


def approximate_profile(
    features: Tensor, cameras: Tensor, min_recall: float, tracks: TrackGroups
) -> tuple[Tensor, float]:
    """Return nearly the cosine at each level of every camera's images, for all images.

    An image that a camera's inverted file misses lets those behind it move up: a cosine is at most
    the exact one.

    Args:
        features: float32 (N, D), unit rows, on the CPU.
        cameras: int64 (N,), 0..C-1.
        min_recall: share of the 128 nearest images of a camera that must be found; of a sample.
        tracks: whose first images are ranked.

    Returns:
        float32 (N, C, L), -2 where a camera has fewer images; and the share of the nearest images
        that was found, of a sample, the least of the cameras.
    """
    rows, of_row = features.numpy(), cameras.numpy()
    count, threads = int(of_row.max(initial=-1)) + 1, torch.get_num_threads()
    profile = np.full((len(rows), count, len(LEVELS)), _ABSENT, np.float32)
    recall = 1.0
    for camera in range(count):
        members = tracks.first[of_row[tracks.first] == camera]
        if not len(members):
            continue  # all of its images are of tracks that began elsewhere
        own = np.full(len(tracks.first), -2)
        own[tracks.group[members]] = np.arange(len(members))
        found = _profile_of(
            rows, members, own[tracks.group], min_recall, threads, profile[:, camera]
        )
        recall = min(recall, found)
    return torch.from_numpy(profile), recall


def _profile_of(
    rows: np.ndarray,
    members: np.ndarray,
    own: np.ndarray,
    min_recall: float,
    threads: int,
    profile: np.ndarray,
) -> float:
    """Write the cosines at the levels of one camera's images.

    Args:
        rows: float32 (N, D), unit rows.
        members: int64 (m,), the images that are ranked.
        own: int (N,), place among the members that each image does not see, -2 none.
        min_recall: as above.
        threads: of the search.
        profile: float32 (N, L), written.

    Returns:
        The share of the nearest images that was found.
    """
    width = min(len(members), LEVELS[-1] + 1)  # one more: an image does not see itself
    with faiss_threads(threads):
        lists = InvertedFile(rows[members], seed=0)
        probes, recall = lists.probes_for(rows, width, min_recall, seed=0)
    ranks = np.array(LEVELS)[np.array(LEVELS) <= width] - 1

    def search(start: int, stop: int) -> None:
        found = np.empty((stop - start, width), np.int32)
        cosine = lists.search(rows[start:stop], probes, found)
        cosine[(found < 0) | (found == own[start:stop, None])] = _ABSENT
        cosine = np.sort(cosine, axis=1)[:, ::-1]
        profile[start:stop, : len(ranks)] = cosine[:, ranks]

    with single_threads():
        map_blocks(search, len(rows), threads, lists.block(probes, len(rows)))
    return recall


def levels_above(profile: Tensor, cosine: Tensor) -> Tensor:
    """Return at how many levels an image of the camera is nearer: 0 = nearest, 1 = second, ...

    Args:
        profile: (..., L), of the looking image and the camera of the ranked one.
        cosine: (...), of the two.
    """
    return (profile > cosine[..., None] + _ROUNDING).sum(dim=-1).float()


def level_of(rank: int) -> int:
    """Return the level of an image at a rank (1-based) within its camera."""
    return sum(level < rank for level in LEVELS)
