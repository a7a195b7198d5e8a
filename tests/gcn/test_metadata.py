"""Metadata: dissimilar images, pairs of nodes, and the users' CSV files."""

import numpy as np
import pytest

from mprd.errors import UserError
from mprd.gcn.metadata import (
    choose_dissimilar,
    pair_identities,
    pair_views,
    read_judgements,
    read_labels,
)

ROWS = {"a/1.jpg": 0, "a/2.jpg": 1, "b/3.jpg": 2, "b/4.jpg": 3}


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_chosen_images_are_dissimilar(epoch):
    chosen, similarity = choose_dissimilar(epoch.features, epoch.neighbors, epoch.cameras, 4, 0)
    assert len(set(chosen.tolist())) == 4
    cameras = epoch.cameras[chosen]
    assert (cameras == np.bincount(epoch.cameras).argmax()).all()
    alike = epoch.features[chosen] @ epoch.features[chosen].T
    np.fill_diagonal(alike, -1)
    assert similarity == pytest.approx(alike.max())
    inside = np.flatnonzero(epoch.cameras == cameras[0])
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(200):
        rows = rng.choice(inside, 4, replace=False)
        among = epoch.features[rows] @ epoch.features[rows].T
        np.fill_diagonal(among, -1)
        drawn.append(among.max())
    assert similarity < np.quantile(drawn, 0.05), "far less alike than images drawn at random"


@pytest.mark.parametrize("seed", range(5))
def test_as_many_strangers_as_there_are(epoch, seed, capsys):
    chosen, _ = choose_dissimilar(epoch.features, epoch.neighbors, epoch.cameras, 10**6, seed)
    assert f"1000000 strangers are asked for, {len(chosen)} were found" in capsys.readouterr().out

    def neighbours(a, b):
        return b in epoch.neighbors[a] and a in epoch.neighbors[b]

    assert not any(neighbours(a, b) for a in chosen for b in chosen if a != b)
    inside = np.flatnonzero(epoch.cameras == epoch.cameras[chosen[0]])
    assert all(any(neighbours(a, b) for b in chosen) for a in set(inside) - set(chosen)), "no more"


def test_no_two_strangers():
    features = unit(np.random.default_rng(0).normal(size=(6, 3)))
    everyone = np.tile(np.arange(6), (6, 1))
    with pytest.raises(UserError, match="No two of the 6 images of the largest camera are strang"):
        choose_dissimilar(features, everyone, np.zeros(6, int), 3, 0)


def test_views_pair_with_the_hardest_of_every_other_image():
    features = unit([[1, 0], [0.9, 0.1], [0, 1], [0.4, 1], [1, 1]])
    found = pair_views(features, np.array([7, 7, 8, 8, 9]))
    answers = {tuple(p): bool(s) for p, s in zip(found.pairs, found.same, strict=True)}
    assert {p for p, same in answers.items() if same} == {(0, 1), (2, 3)}
    # Node 3 is the harder view of image 8 for 0, 1 and 4; node 1 the harder one of image 7.
    assert {p for p, same in answers.items() if not same} == {
        (0, 3), (1, 3), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4),
    }  # fmt: skip


def test_identities_pair_with_the_most_similar_others():
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(8), 2)
    features = unit(rng.normal(size=(16, 5)))
    found = pair_identities(features, identity)
    positive = found.pairs[found.same]
    assert positive.tolist() == [[2 * k, 2 * k + 1] for k in range(8)]
    negative = set(map(tuple, found.pairs[~found.same].tolist()))
    alike = features @ features.T
    for node in range(16):
        others = sorted(np.flatnonzero(identity != identity[node]), key=lambda n: -alike[node, n])
        for other in others[:4]:
            assert (min(node, other), max(node, other)) in negative
    assert all(identity[i] != identity[j] for i, j in negative)


@pytest.mark.parametrize(
    ("identity", "message"),
    [([3, 3], "one identity only"), ([1, 2], "no identity with two images")],
)
def test_labels_that_teach_nothing(identity, message):
    with pytest.raises(UserError, match=message):
        pair_identities(unit([[1, 0], [0, 1]]), np.array(identity))


def write(path, text):
    path.write_text(text)
    return path


def test_labels_are_read(tmp_path):
    path = write(
        tmp_path / "l.csv", "path,identity\nb/4.jpg,anna\na/1.jpg,7\nb/3.jpg, \na/2.jpg, anna\n"
    )
    rows, identity = read_labels(path, ROWS)
    assert rows.tolist() == [3, 0, 1]
    assert identity.tolist() == [0, 1, 0]


def test_judgements_are_read(tmp_path):
    text = "path_a,path_b,same,why\nb/4.jpg,a/1.jpg,1,\na/1.jpg,a/2.jpg,No,hat\na/2.jpg,b/3.jpg,,\n"
    rows, pairs = read_judgements(write(tmp_path / "p.csv", text), ROWS)
    assert rows.tolist() == [0, 1, 3]
    assert rows[pairs.pairs].tolist() == [[3, 0], [0, 1]]
    assert pairs.same.tolist() == [True, False]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_labels, "path,id\na/1.jpg,1\n", r"no column `identity`.*path,identity"),
        (
            read_labels,
            "path,identity\nx.jpg,1\ny.jpg,1\n",
            r"x\.jpg is not a training image.*2 such",
        ),
        (read_labels, "path,identity\na/1.jpg,1\na/1.jpg,1\n", "names the image a/1.jpg twice"),
        (read_labels, "", "cannot be read as a CSV"),
        (
            read_judgements,
            "path_a,path_b,same\na/1.jpg,a/2.jpg,1\na/2.jpg,a/1.jpg,0\n",
            "a/1.jpg and a/2.jpg both the same and different",
        ),
        (read_judgements, "path_a,path_b,same\na/1.jpg,a/2.jpg,maybe\n", "'maybe'.*Write 1, 0"),
        (read_judgements, "path_a,path_b,same\na/1.jpg,a/2.jpg,1\n", "1 judged pair, all `same`"),
        (read_judgements, "path_a,path_b,same\na/1.jpg,a/2.jpg,\n", "0 judged pairs"),
        (
            read_judgements,
            "path_a,path_b,same\na/1.jpg,a/1.jpg,1\na/1.jpg,a/2.jpg,0\n",
            "pairs an image with itself",
        ),
        (
            read_judgements,
            "path_a,path_b,same\na/1.jpg,q,1\na/1.jpg,a/2.jpg,0\n",
            "q is not a training image",
        ),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, read, text, message):
    path = write(tmp_path / "bad.csv", text)
    with pytest.raises(UserError, match=message) as error:
        read(path, ROWS)
    assert str(path) in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_labels(tmp_path / "none.csv", ROWS)
    with pytest.raises(UserError, match="is a folder, not a file"):
        read_labels(tmp_path, ROWS)
