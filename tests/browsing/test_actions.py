"""Each action by plain requests: what holds at once, what the log says, undo, contradictions."""

import numpy as np
import pytest

from mprd.browsing.halves import halves
from mprd.browsing.run import Run
from mprd.decisions.log import DecisionLog, read_decisions
from tests.browsing.people import act, clusters, state
from tests.faults.limits import full_disk


def two(found):
    groups = sorted(clusters(found).items(), key=lambda one: -len(one[1]))
    return groups[:2]


def test_a_merge_holds_at_once(server, run):
    (a, first), (b, second) = two(state(server))
    answer = act(server, "merge", clusters=[a, b])
    assert (
        clusters(answer["state"])[min(a, b) if len(first) == len(second) else a] == first | second
    )
    (one,) = read_decisions(run.decisions)
    assert (one.kind, len(one.images) + len(one.others)) == ("merge", len(first | second))


def test_images_split_off_and_move(server):
    (a, first), (b, second) = two(state(server))
    some = sorted(first)[:2]
    after = clusters(act(server, "split", rows=some)["state"])
    assert set(some) in after.values()
    assert after[a] == first - set(some)
    fresh = next(number for number, rows in after.items() if rows == set(some))
    after = clusters(act(server, "move", rows=some[:1], to=b)["state"])
    assert after[b] == second | {some[0]}
    assert after[fresh] == {some[1]}


def test_not_this_one(server):
    (_, first), (b, second) = two(state(server))
    some = sorted(first)[:2]
    after = clusters(act(server, "not", rows=some)["state"])
    assert [rows for rows in after.values() if rows & set(some)] == [{some[0]}, {some[1]}]
    assert "not of" in act(server, "not", rows=[some[0]], to=b)["done"]
    assert clusters(state(server))[b] == second
    assert "problem" in act(server, "not", rows=[min(second)], to=b)


def test_a_cluster_in_two(server, run):
    (a, first), _ = two(state(server))
    one, other = halves(Run(run.folder), np.array(sorted(first)))
    assert len(one) >= len(other) > 0
    after = clusters(act(server, "halve", clusters=[a])["state"])
    assert set(one.tolist()) in after.values()
    assert set(other.tolist()) in after.values()


def test_names_and_confirmed(server):
    (a, _), (b, _) = two(state(server))
    found = act(server, "rename", clusters=[a], name="  Ann\n|<b> ")["state"]
    assert found["names"][found["known"].index(a)] == "Ann |<b>"
    assert "has the name" in act(server, "rename", clusters=[b], name="Ann |<b>")["problem"]
    assert "already" in act(server, "rename", clusters=[a], name="Ann |<b>")["problem"]
    assert "at most" in act(server, "rename", clusters=[a], name="x" * 201)["problem"]
    found = act(server, "confirm", clusters=[a])["state"]
    assert [n for n, sure in zip(found["known"], found["confirmed"], strict=True) if sure] == [a]
    found = act(server, "merge", clusters=[b, a])["state"]
    assert found["names"][found["known"].index(a)] == "Ann |<b>", "the named one goes on"
    assert not any(found["confirmed"]), "images joined it that nobody confirmed"


def test_a_full_disk_is_a_problem_and_no_end(server, run):
    (a, _), _ = two(state(server))
    act(server, "confirm", clusters=[a])
    before = run.decisions.read_bytes()
    with full_disk(len(before)):
        assert "Free space" in act(server, "rename", clusters=[a], name="Ann")["problem"]
        assert "Free space" in act(server, "undo")["problem"]
    assert run.decisions.read_bytes() == before
    assert "Taken back: entry 1" in act(server, "undo")["done"]

    def apply():
        raise OSError(28, "No space left on device", "clusters.h5")

    server.desk._apply = apply
    assert act(server, "apply")["problem"].startswith("clusters.h5: No space left on device. Free")


def test_undo_and_redo_without_end(server):
    seen = [state(server)]
    for _ in range(4):
        (a, _), _ = two(seen[-1])
        seen.append(act(server, "halve", clusters=[a])["state"])
    for n in (3, 2, 1, 0):
        assert act(server, "undo")["state"]["numbers"] == seen[n]["numbers"]
    assert act(server, "undo")["problem"] == "There is nothing to undo."
    for n in (1, 2):
        assert act(server, "redo")["state"]["numbers"] == seen[n]["numbers"]
    assert act(server, "undo")["state"]["numbers"] == seen[1]["numbers"]
    for n in (2, 3, 4):
        assert act(server, "redo")["state"]["numbers"] == seen[n]["numbers"]
    assert act(server, "redo")["problem"] == "There is nothing to redo."
    act(server, "undo")
    act(server, "confirm", clusters=[two(seen[3])[0][0]])
    assert state(server)["redo"] is None, "something new was decided since"


def test_a_contradiction_is_shown_with_both_decisions(server, run):
    (a, first), (b, second) = two(state(server))
    paths = server.desk.run.paths
    from mprd.decisions.entry import Decision, Kind

    one = Decision(Kind.DIFFERENT, (paths[min(first)],), (paths[min(second)],))
    DecisionLog(run.decisions).append(one)
    answer = act(server, "merge", clusters=[a, b])
    assert len(read_decisions(run.decisions)) == 1
    ((entry, new),) = [clash["entries"] for clash in answer["clashes"]]
    assert (entry["entry"], new["entry"]) == (1, 0)
    assert "is not the same as" in entry["words"]
    assert "merge" in new["words"]
    assert "problem" not in act(server, "retract", entry=1)
    assert "problem" not in act(server, "merge", clusters=[a, b])


def test_a_contradiction_in_the_log_is_shown(server, run):
    from mprd.decisions.entry import Decision, Kind

    x, y = server.desk.run.paths[:2]
    log = DecisionLog(run.decisions)
    log.extend([Decision(Kind.SAME, (x,), (y,)), Decision(Kind.DIFFERENT, (x,), (y,))])
    (wrong,) = state(server)["contradictions"]
    assert [one["entry"] for one in wrong["entries"]] == [1, 2]
    assert act(server, "retract", entry=2)["state"]["contradictions"] == []


def test_what_was_decided_elsewhere_is_told(server, run):
    (a, _), (b, _) = two(state(server))
    old = state(server)["revision"]
    DecisionLog(run.decisions).append(read_like_confirm(server, a))
    answer = act(server, "merge", clusters=[a, b], revision=old)
    assert "decided meanwhile" in answer["problem"]
    assert any(answer["state"]["confirmed"])
    assert len(read_decisions(run.decisions)) == 1


def read_like_confirm(server, number):
    from mprd.decisions.entry import Decision, Kind

    rows = server.desk.board.members(number)
    return Decision(Kind.CONFIRM, tuple(server.desk.run.paths[row] for row in rows))


@pytest.mark.parametrize(
    "wish",
    [
        {"action": "fly"},
        {"action": ["merge"]},
        {"action": "merge", "clusters": [0]},
        {"action": "merge", "clusters": [0, 99999]},
        {"action": "merge", "clusters": [0, True]},
        {"action": "merge", "clusters": "0"},
        {"action": "merge"},
        {"action": "split", "rows": []},
        {"action": "split", "rows": [-1]},
        {"action": "split", "rows": [10**20]},
        {"action": "split", "rows": [1.5]},
        {"action": "split", "rows": list(range(30))},
        {"action": "move", "rows": [0], "to": None},
        {"action": "move", "rows": [0], "to": [0, 1]},
        {"action": "rename", "clusters": [0], "name": 3},
        {"action": "different", "clusters": [0]},
        {"action": "retract", "entry": 7},
        {"action": "retract", "entry": {}},
        {"action": "new", "rows": []},
    ],
)
def test_nonsense_changes_nothing(server, run, wish):
    found = act(server, **wish)
    assert found["problem"]
    assert read_decisions(run.decisions) == []
