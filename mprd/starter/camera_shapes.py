"""Cameras as they are commonly written in the paths of images."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from mprd.data.datasets.path_labels import cameras_in_paths

_SEPARATOR = "/_.-"
# Most plain first. A name goes on to the next separator: spaces and brackets are part of it.
PATTERNS = (
    # cam_gate (1)/1.jpg, x_camera3.jpg, camB/1.jpg; not camel1, cameraman
    r"(?i)(?:^|[/_.-])cam(?:era)?(?:[ _-]+|(?=\d)|(?=[a-z](?:[/_.-]|$)))([^/_.-]*[^/_.\s-])",
    r"_c(\d+)s\d+_",  # 0002_c1s1_000451_03.jpg
    r"(?:^|[/_-])c(\d+)[/_-]",  # 0001_c2_f0046182.jpg, c2/1.jpg
)
_CLEAR = 0.9  # share of the paths that a pattern must fit
_SOME = 0.1  # a pattern that fits fewer found something else
_MOST_CAMERAS = 99
# Folders that are no places, above those of cameras: 2026-03-14, person_7, train
_NO_PLACE = re.compile(
    r"(?i)(?:id|p|pid|person|identity|individual|animal|vehicle|object|track|tracklet|day|date|week|"
    r"month|session|clip|video|sequence|seq|exp|batch|train|val|test|query|gallery|crops|images)?"
    r"[ _-]?[\dT_.-]*"
)


def guess_cameras(paths: Sequence[str]) -> str | None:
    """Return the first pattern that finds cameras in nearly all paths, and at least two of them.

    It fits what was seen and no more: a folder that comes later must be written in the same way.

    Args:
        paths: posix paths, relative to the root.
    """
    for pattern in PATTERNS:
        if _is_clear(pattern, paths):
            plain = _plain(pattern, paths)
            return (
                plain
                if cameras_in_paths(plain, paths) == cameras_in_paths(pattern, paths)
                else pattern
            )
    return None


def camera_names(pattern: str, paths: Sequence[str]) -> Counter[str]:
    """Return the names that a pattern finds, with the number of images of each."""
    return Counter(name for name in cameras_in_paths(pattern, paths) if name is not None)


def camera_doubts(pattern: str | None, paths: Sequence[str]) -> Iterator[str]:
    """Yield what a person should look at: other cameras in the same paths, or too few paths.

    Args:
        pattern: that `guess_cameras` chose.
        paths: as there.
    """
    if pattern is None:
        yield from _nearly(paths)
        return
    chosen = cameras_in_paths(pattern, paths)
    for other in PATTERNS:
        found = cameras_in_paths(other, paths)
        differs = [
            n for n, both in enumerate(zip(chosen, found, strict=True)) if len(set(both)) > 1
        ]
        if _is_clear(other, paths) and differs:
            first = differs[0]
            yield (
                f"Cameras stand in two places of the paths: in '{paths[first]}' '{chosen[first]}' "
                f"counts, not '{found[first]}'. If that is wrong, set data.camera to {other!r}."
            )
    wider = {name for path in paths if (name := _whole_folder(pattern, path)) is not None}
    if len(camera_names(pattern, paths)) < len(wider) <= _MOST_CAMERAS:
        yield (
            f"{len(wider)} folders name the cameras, such as '{min(wider)}', and only what stands "
            "before the next of / _ . - counts. If each folder is a camera, set data.camera to "
            r"'([^/]+)/[^/]*$'."
        )
    yield from _longer_names(pattern, paths)
    yield from _several_places(pattern, paths)
    yield from _words_before(pattern, paths)


def _longer_names(pattern: str, paths: Sequence[str]) -> Iterator[str]:
    """Tell of words behind a camera in names of files: CAM_FRONT and CAM_FRONT_LEFT."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        match = re.search(pattern, path)
        if match and "/" not in path[match.start(1) :]:
            word = re.match(r"[_-]([A-Za-z]+)(?=[/_.-])", path[match.end(1) :])
            found[match[1]].setdefault(word[1] if word else "", path)
    several = {name: words for name, words in found.items() if len(words) > 1}
    if several and pattern.endswith(")") and _few(sum(map(len, found.values())), paths):
        name, words = next(iter(several.items()))
        first, second = list(words.values())[:2]
        whole = f"{pattern[:-1]}(?:[_-][A-Za-z]+(?![A-Za-z0-9]))*)"
        yield (
            f"'{first}' and '{second}' count as one camera, '{name}'. If the word behind it is "
            f"part of the name, set data.camera to {whole!r}."
        )


def _several_places(pattern: str, paths: Sequence[str]) -> Iterator[str]:
    """Tell of folders of one camera in several places: site1/Cam1 and site2/Cam1."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        match = re.search(pattern, path)
        folder = _whole_folder(pattern, path)
        if match and folder is not None:
            above = path[: path.rfind("/", 0, match.start(1)) + 1]
            found[match[1]].setdefault(above, f"{above}{folder}")
    places = {above for one in found.values() for above in one}
    several = [one for one in found.values() if len(one) > 1]
    named = [above for above in places if not _NO_PLACE.fullmatch(above[:-1].rpartition("/")[2])]
    if several and len(named) > 1 and _few(sum(map(len, found.values())), paths):
        first, second = list(several[0].values())[:2]
        whole = r"(?i)^(.*cam[^/]*)/" if "cam" in first.lower() else r"^(.*/c\d+)/"
        yield (
            f"'{first}' and '{second}' count as one camera. If these are two, set data.camera to "
            f"{whole!r}."
        )


def _words_before(pattern: str, paths: Sequence[str]) -> Iterator[str]:
    """Tell of words before one camera in names of files: StationA__Cam1 and StationB__Cam1."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        match = re.search(pattern, path)
        begin = path.rfind("/") + 1
        if match and begin <= match.start(1):
            before = path[begin : match.start() + 1].rstrip(_SEPARATOR)
            if not _NO_PLACE.fullmatch(before):
                found[match[1]].setdefault(before, path)
    several = [one for one in found.values() if len(one) > 1]
    whole = r"(?i)(?:^|/)([^/]*?[_.-]c(?:am(?:era)?[ _-]?)?[^/_.-]+)[^/]*$"
    names = sum(map(len, found.values()))
    if several and _few(names, paths) and len(camera_names(whole, paths)) == names:
        first, second = list(several[0].values())[:2]
        yield (
            f"'{first}' and '{second}' count as one camera. If the word before it names a place, "
            f"set data.camera to {whole!r}."
        )


def _few(cameras: int, paths: Sequence[str]) -> bool:
    """Tell whether so many names could be cameras."""
    return cameras <= min(_MOST_CAMERAS, len(paths) // 2)


def _nearly(paths: Sequence[str]) -> Iterator[str]:
    for pattern in PATTERNS:
        found = camera_names(pattern, paths)
        if len(found) > 1 and found.total() >= _SOME * len(paths):
            yield (
                f"{found.total():,} of {len(paths):,} paths name a camera, such as "
                f"'{min(found)}', too few to take them all so. Set data.camera to a pattern that "
                "fits all of them."
            )
            return


def _is_clear(pattern: str, paths: Sequence[str]) -> bool:
    found = camera_names(pattern, paths)
    clear = found.total() >= _CLEAR * len(paths)
    return clear and len(found) >= 2 and _few(len(found), paths)


def _plain(pattern: str, paths: Sequence[str]) -> str:
    """Return a pattern that a person would write for what another one finds in the paths."""
    match = next(filter(None, (re.search(pattern, path) for path in paths)))
    word = match[0][: match.start(1) - match.start()].lstrip(_SEPARATOR)
    if not word.lower().startswith("cam"):
        return pattern
    # Without a separator a longer word could begin so.
    name = r"[^/_.-]+" if word[-1] in " _-" else r"\d[^/_.-]*"
    return rf"(?:^|[/_.-]){word}({name})"


def _whole_folder(pattern: str, path: str) -> str | None:
    """Return the folder in which a pattern finds the camera, None if it is in the file name."""
    match = re.search(pattern, path)
    if match is None or "/" not in path[match.start(1) :]:
        return None
    return path[path.rfind("/", 0, match.start(1)) + 1 : path.index("/", match.start(1))]
