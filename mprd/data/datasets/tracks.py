"""Tracks: each belongs to one camera, and shows one identity if all went well."""

from collections.abc import Sequence

from mprd.errors import UserError, many


def check_tracks(
    tracks: Sequence[str],
    *,
    cameras: Sequence[int],
    identities: Sequence[int],
    camera_names: Sequence[str] = (),
) -> list[str]:
    """Return a note if tracks show two identities.

    Args:
        tracks: name of the track of each image, "" unknown.
        cameras: of each image, -1 unknown.
        identities: of each image, -1 unknown.
        camera_names: of the cameras 0, 1, ...; empty: they have numbers only.

    Raises:
        UserError: a track has images of two cameras.
    """
    split = _with_several(tracks, cameras)
    if split:
        first, (one, other) = next(iter(split.items()))
        named = [camera_names[c] if camera_names else str(c + 1) for c in (one, other)]
        raise UserError(
            f"The track '{first}' has images of the cameras {named[0]} and {named[1]} "
            f"({many(len(split), 'track is', 'tracks are')} so), but a track is what one camera "
            "saw. Put the "
            "camera into the name of the track: data.track joins several groups, as in "
            r"'(cam_[a-z]+)/(track_\d+)'."
        )
    mixed = _with_several(tracks, identities)
    if not mixed:
        return []
    first = next(iter(mixed))
    return [
        f"Warning: {many(len(mixed), 'track shows', 'tracks show')} more than one identity, first "
        f"'{first}': images "
        "of one track are taken as one identity in training. Cut these tracks in two, or leave "
        "them out."
    ]


def _with_several(tracks: Sequence[str], labels: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return the tracks that have images of two known labels, with the first two."""
    seen: dict[str, int] = {}
    several: dict[str, tuple[int, int]] = {}
    for track, label in zip(tracks, labels, strict=True):
        if track and label >= 0 and seen.setdefault(track, label) != label:
            several.setdefault(track, (seen[track], label))
    return several
