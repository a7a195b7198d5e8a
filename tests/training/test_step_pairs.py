"""Which pairs a batch is trained on: confirmed, never rejected ones, and dealt over groups."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.config import AugmentConfig, TrainConfig
from mprd.data.sampler import plan_batches
from mprd.losses.memories.cluster import ClusterMemory
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.pairs.hard_pairs import HardPairs
from mprd.training.epoch import make_optimizer
from mprd.training.step import EpochTrainer

NETWORK = ReidNetwork(Architecture("mini", "gem", 0, 32, 16))


class Rejects:
    """A filter that keeps a random part of the hard positives and notes what it was asked."""

    def __init__(self, share, seed):
        self.share, self.draw = share, torch.Generator().manual_seed(seed)
        self.rejected = []

    def expect(self, pairs, batches, members):
        pass

    def __call__(self, pairs, generator):
        keep = torch.rand(pairs.positive.shape, generator=self.draw) < self.share
        self.rejected += listed(pairs.positive & ~keep, pairs.members)
        return keep, torch.ones_like(keep)

    def refresh(self):
        pass


def listed(mask, members):
    """Return the pairs (position in the batch, training row) that a mask chooses."""
    owner, column = mask.nonzero(as_tuple=True)
    return list(zip(owner.tolist(), members[column].tolist(), strict=True))


def chosen_by(trainer, rows):
    return trainer.choose_pairs(trainer.expect(rows[None].numpy()).of_step(0))


def trainer(labels, previous, pair_filter, **options):
    config = TrainConfig(**{"use_hsd": True, "use_ppa": True} | options)
    labels = torch.tensor(labels)
    rows = torch.nn.functional.normalize(torch.randn(len(labels), 192), dim=1)
    before = None if previous is None else torch.tensor(previous)
    return EpochTrainer(
        network=NETWORK,
        optimizer=make_optimizer(NETWORK, config, 1),
        memory=ClusterMemory(rows, labels, 0.1, "mean"),
        pairs=HardPairs(labels, before),
        settings=config,
        augmentation=AugmentConfig(),
        generator=torch.Generator().manual_seed(0),
        pair_filter=pair_filter,
    )


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=16),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_rejected_pairs_teach_nothing(labels, share, seed):
    labels = np.unique(labels, return_inverse=True)[1].tolist()
    asked = Rejects(share, seed)
    found = chosen_by(trainer(labels, None, asked), torch.arange(len(labels)))
    used = set(listed(found.positive, found.members))
    used |= set(enumerate(found.hard_positive.tolist())) | set(enumerate(found.partners.tolist()))
    assert not used & set(asked.rejected)
    for owner, member in used:
        assert labels[owner] == labels[member], "an image, or one of its mates"


def test_without_hard_pairs_nothing_is_chosen():
    plain = trainer([0, 0, 1, 1], None, None, use_hsd=False, use_ppa=False)
    rows = torch.arange(4)
    found = chosen_by(plain, rows)
    assert found.positive.numel() == found.negative.numel() == len(found.members) == 0
    assert found.partners is None
    x = torch.nn.functional.normalize(torch.randn(4, 192), dim=1)
    total, contrast = plain.losses(x, None, rows, found)
    memory = plain.memory
    expected = torch.nn.functional.cross_entropy(x @ memory.prototypes.T / 0.05, memory.labels)
    assert torch.isclose(total, expected)
    assert torch.isclose(contrast, expected)


@pytest.mark.parametrize(("P", "S", "group"), [(4, 16, 16), (16, 4, 16)])
def test_both_views_hold_many_clusters_in_each_group(P, S, group):
    """As at paper scale: 4 x 16 images in groups of 16."""
    labels = np.repeat(np.arange(2 * P), 20)
    plan = plan_batches(
        labels,
        np.arange(len(labels)) % 3,
        iters=1,
        identities=P,
        instances=S,
        sampler="anchor",
        rng=np.random.default_rng(0),
    )
    rows = torch.from_numpy(plan[0])
    partners = chosen_by(trainer(labels.tolist(), None, None), rows).partners
    for view in (rows, partners):
        for part in view.split(group):
            assert len(set(labels[part].tolist())) == min(P, group)
