"""faiss on a GPU, with stand-ins for its GPU classes: no card has run it yet."""

import faiss
import numpy as np
import pytest

from mprd.graph import approximate_knn, card, knn
from mprd.graph.card import faiss_card
from tests.cards import two_cards
from tests.graph.test_approximate import clustered
from tests.graph.test_neighbors import unit


@pytest.fixture
def cards(monkeypatch):
    """A faiss for GPUs and two cards; what is loaded on them and searched there, in order.

    An index on a card is that of the CPU, which notes the searches that Python asks for.
    """
    log = []

    def load(resources, number, index):
        assert resources == "resources"
        assert index.is_trained
        assert index.metric_type == faiss.METRIC_INNER_PRODUCT
        kind, search = type(index).__name__, index.search

        def noted(queries, k):
            assert queries.dtype == np.float32
            assert k <= card.MOST
            log.append(("search", kind, len(queries)))
            return search(queries, k)

        index.search = noted
        log.append(("load", kind, number))
        return index

    two_cards(monkeypatch)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: "resources", raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", load, raising=False)
    return log


def no_search(*args, **options):
    raise AssertionError("searched on the CPU")


def test_the_exact_search_runs_on_the_card_and_gives_the_same(cards, monkeypatch):
    features = clustered(300)
    expected = knn(features, 12, "faiss", device="cpu")
    assert cards == []
    monkeypatch.setattr(faiss, "knn", no_search)
    found = knn(features, 12, "faiss", device="cuda:1", memory=100 * 12 * 20)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert cards == [("load", "IndexFlatIP", 1), *[("search", "IndexFlatIP", 100)] * 3]


@pytest.mark.parametrize("wanted", [0.9, 1.0])
def test_the_inverted_file_runs_on_the_card_and_gives_the_same(cards, wanted):
    features = clustered(3000)
    expected = approximate_knn(features, 20, min_recall=wanted, device="cpu")
    assert cards == []
    found = approximate_knn(features, 20, min_recall=wanted, device="cuda:1")
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
    assert {number for what, _, number in cards if what == "load"} == {1}
    # k-means, the lists of all rows, the sample's true neighbours and lists; the search itself.
    loaded = [kind for what, kind, _ in cards if what == "load"]
    assert loaded == [*["IndexFlatIP"] * 4, "IndexIVFFlat"]
    assert ("search", "IndexFlatIP", 3000) in cards
    assert ("search", "IndexFlatIP", 1000) in cards
    assert cards[-1] == ("search", "IndexIVFFlat", 3000)


def test_rows_are_searched_on_the_card_by_block(cards, monkeypatch):
    monkeypatch.setattr("mprd.graph.inverted_file._CARD_BLOCK", 256)
    features = clustered(600)
    expected = approximate_knn(features, 20, device="cpu")
    found = approximate_knn(features, 20)
    assert np.array_equal(found[1], expected[1])
    searched = [count for what, kind, count in cards if (what, kind) == ("search", "IndexIVFFlat")]
    assert searched == [256, 256, 88]


def test_copies_stay_among_their_own_neighbours_on_the_card(cards):
    """More copies than candidates: faiss need not return the row itself."""
    features = np.repeat(clustered(3), 60, axis=0)
    _, index, _ = approximate_knn(features, 5, device="cuda")
    assert np.array_equal(index[:, 0], np.arange(180))


def test_what_a_card_cannot_is_done_on_the_cpu(cards, monkeypatch):
    """More neighbours, or more lists, than faiss finds on a GPU."""
    monkeypatch.setattr(card, "MOST", 10)
    for module in ("neighbors", "approximate", "inverted_file"):
        monkeypatch.setattr(f"mprd.graph.{module}.MOST", 10)
    features = unit(2000, 16)
    assert np.array_equal(
        knn(features, 20, "faiss")[1], knn(features, 20, "faiss", device="cpu")[1]
    )
    approximate_knn(features, 20)
    assert cards == []
    expected = approximate_knn(features, 2, min_recall=1.0, device="cpu")
    found = approximate_knn(features, 2, min_recall=1.0)
    assert np.array_equal(found[1], expected[1])
    assert [kind for what, kind, _ in cards if what == "load"] == ["IndexFlatIP"] * 3


def test_without_a_faiss_for_gpus_or_a_card_it_searches_on_the_cpu(monkeypatch):
    two_cards(monkeypatch)
    assert faiss_card("auto") is None
    assert faiss_card("cuda:1") is None
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr("mprd.system.gpu._driver_found", lambda: False)
    assert faiss_card("auto") is None
    assert faiss_card("cpu") is None
