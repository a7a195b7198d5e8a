"""Images that were added, on the page: shown for confirmation, with their nearest clusters."""

import json

import numpy as np
import pytest

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog, read_decisions
from mprd.stages.add import add_images, undo_added
from mprd.stages.apply import apply_decisions
from tests.browsing.people import act, ask, browsing, clusters, state
from tests.browsing.test_browse_page import kinds, press, says, tab  # noqa: F401
from tests.later import PEOPLE, shoot

KNOWN = PEOPLE * 6


@pytest.fixture
def server(later):
    add_images(later.folder, [later.folder.parent / "new"])
    with browsing(later.folder, lambda: apply_decisions(later.folder).words()) as one:
        yield one


def rows_of(server, who):
    return [n for n, path in enumerate(server.desk.run.paths) if f"-{who}-" in path]


def test_each_waits_with_its_nearest_clusters(server, later):
    found = state(server)
    assert list(map(int, found["added"])) == list(range(KNOWN, KNOWN + 12))
    for row, near in found["added"].items():
        own = found["numbers"][int(row)]
        assert 1 <= len(near) <= 3
        assert own in dict(near), "its own cluster is among them"
        assert near[0][0] == own, "it is the nearest one"
        assert 0 < near[0][1] <= 1
    row = rows_of(server, 0)[-1]
    own = found["numbers"][row]
    answer = act(server, "belongs", rows=[row], to=own)
    assert str(row) not in answer["state"]["added"]
    assert answer["state"]["numbers"] == found["numbers"]
    (one,) = read_decisions(later.decisions)
    assert (one.kind, one.images) == ("move", (server.desk.run.paths[row],))
    assert str(row) in act(server, "undo")["state"]["added"]
    for kind in ("small", "large", "image"):
        assert ask(server, "GET", f"{kind}/{row}")[0] == 200
    assert ["added", "by call 1 of mprd add"] in facts(server, row)


def facts(server, row):
    return json.loads(ask(server, "GET", f"image/{row}")[1])["facts"]


def test_no_match_is_somebody_new(server, later):
    before = state(server)["numbers"]
    some = rows_of(server, 20)[:2]
    found = act(server, "new", rows=some)["state"]
    fresh = {found["numbers"][row] for row in some}
    assert len(fresh) == 1
    assert min(fresh) > max(before), "a number that does not exist yet"
    (one,) = read_decisions(later.decisions)
    assert one.kind == "new"
    assert sorted(one.images) == sorted(server.desk.run.paths[row] for row in some)
    assert server.desk.run.paths[rows_of(server, 20)[2]] in one.others
    # A second one, and the clusters that follow.
    other = rows_of(server, 0)[0]
    found = act(server, "new", rows=[other])["state"]
    assert found["numbers"][other] == max(fresh) + 1
    act(server, "rename", clusters=[found["numbers"][other]], name="Eve")
    shown = clusters(state(server))
    assert "hold in" in act(server, "apply")["done"]
    after = state(server)
    assert clusters(after)[max(fresh)] >= shown[max(fresh)]
    assert clusters(after)[max(fresh) + 1] == {other}
    assert after["names"][after["known"].index(max(fresh) + 1)] == "Eve"
    assert after["waiting"] == 0


def test_the_same_newcomer_one_after_the_other(server, later):
    """A person says of each image that it is nobody known; nothing says that they are two."""
    known = int(np.argmax(np.bincount(state(server)["numbers"][:KNOWN])))
    paths, (one, other) = server.desk.run.paths, rows_of(server, 20)[:2]
    for row in (one, other):  # both were given to somebody known
        DecisionLog(later.decisions).append(
            Decision(Kind.NOT, (paths[row],), tuple(paths[n] for n in rows_of(server, 20)[2:]))
        )
    answer = act(server, "new", rows=[one])
    number = answer["state"]["numbers"][one]
    assert f"It is cluster {number} now" in answer["done"]
    assert paths[other] not in read_decisions(later.decisions)[-1].others
    near = dict(answer["state"]["added"][str(other)])
    assert number in near, "it is offered"
    assert known not in near or near[number] > near[known]
    found = act(server, "belongs", rows=[other], to=number)["state"]
    assert found["numbers"][other] == number


def test_images_that_come_while_the_page_is_open(server, later):
    before = state(server)
    shoot(later.folder.parent / "more", 22, range(3))
    add_images(later.folder, [later.folder.parent / "more"])
    found = state(server)
    assert len(found["numbers"]) == len(before["numbers"]) + 3
    assert found["version"] != before["version"]
    assert ask(server, "GET", f"small/{KNOWN + 14}")[0] == 200
    undo_added(later.folder)
    assert state(server)["version"] == before["version"]
    assert ask(server, "GET", f"small/{KNOWN + 14}")[0] == 404
    (later.folder.parent / "new/c1-0-10.png").unlink()
    row = server.desk.run.paths.index(str(later.folder.parent / "new/c1-0-10.png"))
    assert ask(server, "GET", f"large/{row}")[0] in (409, 200)
    act(server, "halve", clusters=[state(server)["numbers"][row]])
    assert read_decisions(later.decisions)[0].kind == "split"


def test_the_added_ones_by_keys_and_filter(server, later, tab):  # noqa: F811
    page = tab(server.address)
    assert page.locator("#tab-added b").inner_text() == "12"
    page.click("#tab-added")
    assert page.locator("article").count() > 3
    page.set_viewport_size({"width": 1280, "height": 2500})
    cards = page.locator("article")
    page.locator("article[aria-posinset='8']").wait_for()
    assert cards.count() == 8, "six of known people, and two strangers with three images each"
    strangers = page.locator("article", has_text="3 images of a stranger")
    assert strangers.count() == 2
    assert strangers.first.locator(".picture .new").count() == 3
    first = page.locator("article.current")
    assert first.locator(".new").count() == 1
    assert 1 <= first.locator(".target").count() <= 3
    press(page, "1", "move")
    assert page.locator("#tab-added b").inner_text() == "11"
    strangers.first.get_by_role("button", name="No match").click()
    says(page, "is a new individual")
    assert page.locator("#tab-added b").inner_text() == "8", "one decision for the three"
    assert strangers.count() == 1
    press(page, "u", "Taken back")
    # One image of the three only.
    strangers.first.locator(".picture .choose").first.click()
    press(page, "0", "is a new individual, not ")
    assert page.locator("#tab-added b").inner_text() == "10"
    press(page, "u", "Taken back")
    press(page, "0", "is a new individual, not ")
    press(page, "u", "Taken back")
    page.click("#tab-clusters")
    page.click("#filters")
    page.select_option("#new", "all")
    cards = page.locator("article").count()
    page.select_option("#new", "open")
    assert 0 < page.locator("article").count() <= cards
    page.select_option("#new", "")
    page.locator(".picture .choose").first.click()
    page.locator("#chosen").get_by_role("button", name="No match").click()
    says(page, "is a new individual")
    assert kinds(later) == ["move", "new", "undo", "new", "undo", "new", "undo", "new"]
    # More come: the page loads itself again and shows them.
    page.evaluate("window.before = true")
    shoot(later.folder.parent / "more", 22, range(3))
    add_images(later.folder, [later.folder.parent / "more"])
    more = str(len(state(server)["added"]))
    page.wait_for_function(
        "n => !window.before && document.documentElement.matches('[data-ready]')"
        " && document.querySelector('#tab-added b').textContent === n",
        arg=more,
    )
    page.click("#apply")
    says(page, "hold in")
