"""HSD and PPA against literal, per-sample versions of their formulas, and gradcheck."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.losses.cluster_contrast import cluster_contrast_loss
from mprd.losses.hsd import hsd_loss
from mprd.losses.nt_xent import nt_xent_loss
from mprd.losses.ppa import ppa_loss
from mprd.pairs.pair_list import masked_argmin, random_choice


def problem(seed, batch=6, clusters=4, count=20, dim=8, with_negatives=True):
    """Random unit rows, labels, and hard pairs of a batch, in float64."""
    g = torch.Generator().manual_seed(seed)

    def unit(n):
        return F.normalize(torch.randn(n, dim, generator=g, dtype=torch.float64), dim=1)

    instance_labels = torch.randint(-1, clusters, (count,), generator=g)
    instance_labels[:clusters] = torch.arange(clusters)
    rows = (instance_labels >= 0).nonzero()[:, 0]
    rows = rows[torch.randint(len(rows), (batch,), generator=g)]
    labels = instance_labels[rows]
    positives, negatives = [], []
    for b in range(batch):
        mates = (instance_labels == labels[b]).nonzero()[:, 0].tolist()
        positives += [(b, j) for j in mates]
        others = (instance_labels != labels[b]).nonzero()[:, 0]
        if with_negatives and b % 3:
            positives_count = int(torch.randint(1, 6, (1,), generator=g))
            chosen = others[torch.randperm(len(others), generator=g)[:positives_count]]
            negatives += [(b, int(j)) for j in chosen]
    return {
        "x": unit(batch),
        "x2": unit(batch),
        "C": unit(clusters),
        "M": unit(count),
        "labels": labels,
        "instance_labels": instance_labels,
        "rows": rows,
        **_pairs(positives, negatives, batch, count, g),
    }


def _pairs(positives, negatives, batch, count, generator):
    """Masks over all images in random order, a part of which is padded."""
    members = torch.cat([torch.randperm(count, generator=generator), torch.full((3,), -1)])
    masks = torch.zeros(2, batch, count + 3, dtype=torch.bool)
    for mask, items in zip(masks, (positives, negatives), strict=True):
        for b, j in items:
            mask[b] |= members == j
    return {"members": members, "P": masks[0], "N": masks[1]}


def chosen(p, kind, b):
    """The rows that a mask chooses for an image."""
    return p["members"][p[kind][b]].tolist()


def norm(v):
    return v / v.norm()


def literal_hsd(p, positive, T, a, margin):
    total = 0.0
    for b, x in enumerate(p["x"]):
        c = int(p["labels"][b])
        c_plus = norm((1 - a) * p["C"][c] + a * p["M"][positive[b]])
        numerator = math.exp(float(x @ c_plus) / T)
        denominator = numerator
        for k in range(len(p["C"])):
            if k != c:
                denominator += math.exp(float(x @ p["C"][k]) / T)
        for j in chosen(p, "N", b):
            denominator += math.exp((float(x @ p["M"][j]) - margin) / T)
        total += -math.log(numerator / denominator)
    return total / len(p["x"])


def literal_prototypes(p, b, view, mix):
    """C with the own row and the rows of hard negatives mixed, for one image and view."""
    C, M, c = p["C"], p["M"], int(p["labels"][b])
    mixed = C.clone()
    h = min(chosen(p, "P", b), key=lambda j: float(view @ M[j]))
    mixed[c] = norm((1 - mix) * C[c] + mix * M[h])
    hardest = {}
    for n in chosen(p, "N", b):
        y = int(p["instance_labels"][n])
        if y < 0 or y == c:
            continue
        if y not in hardest or float(view @ M[n]) > float(view @ M[hardest[y]]):
            hardest[y] = n
    for y, n in hardest.items():
        mixed[y] = norm((1 - mix) * C[y] + mix * M[n])
    return mixed


def literal_ppa(p, T, mix):
    total = 0.0
    for b in range(len(p["x"])):
        views = p["x"][b], p["x2"][b]
        q, r = (torch.softmax(literal_prototypes(p, b, v, mix) @ v / T, dim=0) for v in views)
        total += float((q * (q / r).log()).sum())
    return total / len(p["x"])


def call_hsd(p, x, positive, T=0.05, a=0.2, margin=0.15):
    return hsd_loss(
        x,
        p["labels"],
        p["C"],
        p["M"],
        positive,
        p["members"],
        p["N"],
        temperature=T,
        mix=a,
        margin=margin,
    )


def call_ppa(p, x, x2, T=0.1, mix=0.1):
    return ppa_loss(
        x,
        x2,
        p["labels"],
        p["C"],
        p["M"],
        p["instance_labels"],
        p["members"],
        p["P"],
        p["N"],
        temperature=T,
        mix=mix,
    )


@given(
    seed=st.integers(0, 10_000),
    margin=st.sampled_from([0.0, 0.15, 1.0]),
    T=st.sampled_from([0.05, 0.1]),
)
@settings(max_examples=30, deadline=None)
def test_hsd_equals_literal(seed, margin, T):
    p = problem(seed)
    positive = p["members"][random_choice(p["P"], torch.Generator().manual_seed(seed))]
    found = float(call_hsd(p, p["x"], positive, T=T, margin=margin))
    assert found == pytest.approx(literal_hsd(p, positive, T, 0.2, margin), rel=1e-9)


@given(seed=st.integers(0, 10_000), mix=st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=30, deadline=None)
def test_ppa_equals_literal(seed, mix):
    p = problem(seed)
    found = float(call_ppa(p, p["x"], p["x2"], mix=mix))
    assert found == pytest.approx(literal_ppa(p, 0.1, mix), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("with_negatives", [True, False])
def test_hsd_gradient(with_negatives):
    p = problem(3, with_negatives=with_negatives)
    x = p["x"].clone().requires_grad_(True)
    positive = p["rows"]
    assert torch.autograd.gradcheck(lambda v: call_hsd(p, v, positive, T=0.5), (x,))


@pytest.mark.parametrize("with_negatives", [True, False])
def test_ppa_gradient_flows_through_both_sides(with_negatives):
    p = problem(4, with_negatives=with_negatives)
    x, x2 = (p[k].clone().requires_grad_(True) for k in ("x", "x2"))
    assert torch.autograd.gradcheck(lambda v, w: call_ppa(p, v, w, T=0.5), (x, x2))
    call_ppa(p, x, x2).backward()
    assert x.grad.abs().sum() > 0
    assert x2.grad.abs().sum() > 0


def test_hsd_without_mix_and_negatives_is_cluster_contrast():
    p = problem(5)
    plain = F.cross_entropy(p["x"] @ p["C"].T / 0.05, p["labels"])
    p["N"] = torch.zeros_like(p["N"])
    found = cluster_contrast_loss(p["x"], p["labels"], p["C"], temperature=0.05)
    assert torch.allclose(found, plain)
    assert torch.equal(call_hsd(p, p["x"], p["rows"], a=0.0), found)


def test_hsd_is_finite_where_raw_exponentials_overflow():
    p = {k: v.float() if v.dtype == torch.float64 else v for k, v in _tensors(problem(6)).items()}
    x = (100 * p["x"]).requires_grad_(True)
    p |= _pairs([], [(0, 1), (1, 0)], len(x), len(p["M"]), torch.Generator())
    loss = call_hsd(p, x, p["rows"])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()


def _tensors(p):
    return {k: v for k, v in p.items() if isinstance(v, torch.Tensor)}


def test_ppa_of_a_view_with_itself_is_zero():
    p = problem(7)
    assert float(call_ppa(p, p["x"], p["x"])) == pytest.approx(0, abs=1e-12)


def test_nt_xent_equals_literal():
    g = torch.Generator().manual_seed(0)
    a, b = (F.normalize(torch.randn(5, 4, generator=g, dtype=torch.float64), dim=1) for _ in "ab")
    views = torch.cat([a, b])
    total = 0.0
    for i in range(10):
        similar = [math.exp(float(views[i] @ views[j]) / 0.2) for j in range(10)]
        total -= math.log(similar[(i + 5) % 10] / (sum(similar) - similar[i]))
    assert float(nt_xent_loss(a, b, 0.2)) == pytest.approx(total / 10, rel=1e-9)


@given(
    st.lists(st.lists(st.none() | st.integers(-3, 3), min_size=6, max_size=6), min_size=1),
)
def test_masked_argmin_is_the_first_minimum(rows):
    values = torch.tensor([[float(v or 0) for v in row] for row in rows])
    mask = torch.tensor([[v is not None for v in row] for row in rows])
    found = masked_argmin(values, mask).tolist()
    for column, row in zip(found, rows, strict=True):
        there = [i for i, v in enumerate(row) if v is not None]
        assert column == min(there, key=lambda i: (row[i], i), default=0)


def test_random_choice_is_uniform_over_the_columns():
    mask = torch.tensor([[0, 0, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()
    g = torch.Generator().manual_seed(0)
    draws = torch.stack([random_choice(mask, g) for _ in range(3000)])
    assert set(draws[:, 0].tolist()) == {2}
    assert set(draws[:, 2].tolist()) == {0}, "there is none"
    counts = torch.bincount(draws[:, 1], minlength=5)
    assert (counts[[1, 3, 4]] - 1000).abs().max() < 120
    assert counts[[0, 2]].sum() == 0
