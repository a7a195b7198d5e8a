"""The page in a real browser: each action by keys and mouse, reload, two tabs, a killed server."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog, in_effect, read_decisions
from tests.browsing.people import browsing, clusters, state
from tests.finished import HOSTILE
from tests.judging.labels import write_labels
from tests.stage_server import python

READY = "html[data-ready]"


@pytest.fixture
def tab(browser):
    """Return a function: a page in the browser; nothing is said that should not be."""
    said, asked, opened = [], [], []

    def show(address, width=1280, height=900, wrong=False):
        page = browser.new_page(viewport={"width": width, "height": height})
        opened.append(page)
        if not wrong:
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("console", lambda m: said.append(m.text) if "409" not in m.text else None)
            page.on("dialog", lambda dialog: said.append(dialog.message))
        origin = re.match(r"http://[^/]+/", address)[0]
        page.on(
            "request",
            lambda r: asked.append(r.url) if not r.url.startswith((origin, "data:")) else None,
        )
        page.goto(address)
        page.wait_for_selector(READY)
        return page

    yield show
    for page in opened:
        page.close()
    assert said == []
    assert asked == [], "nothing is asked elsewhere"


@pytest.fixture
def server(run):
    with browsing(run.folder, lambda: "2 decisions hold.") as one:
        yield one


def press(page, key, status):
    """Press a key, and wait until the line at the foot says something like this."""
    page.evaluate("() => { says.textContent = '' }")
    page.keyboard.press(key)
    says(page, status)


def says(page, text):
    page.wait_for_function("text => says.textContent.includes(text)", arg=text)


def kinds(run):
    return [str(one.kind) for one in read_decisions(run.decisions)]


def card(page, number):
    return page.locator(f"article[data-key=c{number}]")


def largest(server):
    return sorted(clusters(state(server)).items(), key=lambda one: (-len(one[1]), one[0]))


def test_by_keys(server, run, tab):
    page = tab(server.address)
    before = state(server)["numbers"]
    press(page, "c", "confirm")
    assert page.locator("article.current .sure").count() == 1
    press(page, "h", "split")
    press(page, "u", "Taken back")
    press(page, "Shift+U", "Done again")
    press(page, "u", "Taken back")
    press(page, "Control+z", "Taken back")
    assert state(server)["numbers"] == before
    page.keyboard.press("j")
    number = int(page.locator("article.current").get_attribute("data-number"))
    page.keyboard.press("r")
    page.keyboard.type(f"{HOSTILE}")
    page.keyboard.press("Enter")
    says(page, "call")
    assert HOSTILE in card(page, number).inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert page.locator(".picture.on").count() == 1
    press(page, "s", "split")
    press(page, "Control+z", "Taken back")
    page.keyboard.press(" ")
    press(page, "n", "not of")
    press(page, "u", "Taken back")
    page.keyboard.press("a")
    page.keyboard.press("k")
    page.keyboard.press("a")
    assert page.locator("article.picked").count() == 2
    press(page, "m", "merge")
    assert page.locator("article.picked").count() == 0
    assert [str(one.kind) for one in in_effect(read_decisions(run.decisions))] == [
        "rename",
        "merge",
    ]
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


def test_by_mouse(server, run, tab):
    (a, _), (b, second), (c, third), *_ = largest(server)
    page = tab(server.address, height=1200)  # all of `c` lies above the foot while dragging
    page.select_option("#order", "large")
    card(page, a).get_by_role("button", name="Confirm").click()
    says(page, "confirm")
    card(page, a).get_by_role("button", name="Split in two").click()
    says(page, "split")
    page.click("#undo")
    says(page, "Taken back")
    page.click("#redo")
    says(page, "Done again")
    row = min(second)
    target = card(page, c).locator(".line .about")
    page.locator(f".picture[data-row='{row}']").drag_to(target)
    says(page, "move")
    assert clusters(state(server))[c] == third | {row}
    # Out of its cluster: the foot of the page takes it.
    other = page.locator(f".picture[data-row='{min(third)}']").bounding_box()
    page.mouse.move(other["x"] + 10, other["y"] + 20)
    page.mouse.down()
    page.mouse.move(other["x"] + 30, other["y"] + 40, steps=3)
    page.wait_for_selector("#drops:not([hidden])")
    box = page.locator("[data-drop=split]").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 20, steps=5)
    page.mouse.up()
    says(page, "split")
    assert {min(third)} in clusters(state(server)).values()
    card(page, b).locator("input[type=checkbox]").check()
    card(page, c).locator("input[type=checkbox]").check()
    page.locator("#chosen").get_by_role("button", name="Merge").click()
    says(page, "merge")
    assert kinds(run) == ["confirm", "split", "undo", "undo", "move", "split", "merge"]
    page.click("#apply")
    says(page, "2 decisions hold.")


def test_a_contradiction_is_shown_where_it_arises(server, run, tab):
    (a, _), (b, _), *_ = largest(server)
    page = tab(server.address)
    page.select_option("#order", "large")
    for number in (a, b):
        card(page, number).locator("input[type=checkbox]").check()
    press(page, "m", "merge")
    row = page.locator("article.current .picture").first
    row.locator(".choose").click()
    press(page, "s", "split")
    numbers, paths = state(server)["numbers"], server.desk.run.paths
    x, y = (paths[numbers.index(number)] for number in (c for c, _ in largest(server)[:2]))
    DecisionLog(run.decisions).append(Decision(Kind.DIFFERENT, (x,), (y,)))
    says(page, "Another page or command")
    before = len(kinds(run))
    for number, _ in largest(server)[:2]:
        card(page, number).locator("input[type=checkbox]").check()
    page.keyboard.press("m")
    asked = page.locator("#ask")
    asked.wait_for()
    assert f"entry {before}" in asked.inner_text()
    assert "is not the same as" in asked.inner_text()
    assert "the new decision: merge" in asked.inner_text()
    assert asked.locator(".chain img").count() >= 2
    asked.get_by_role("button", name="Leave everything").click()
    says(page, "Nothing was changed")
    assert len(kinds(run)) == before
    page.keyboard.press("m")
    asked.get_by_role("button", name=f"Take entry {before} back").click()
    says(page, "merge")
    assert kinds(run)[-2:] == ["undo", "merge"]


def test_a_picture_large(server, tab):
    page = tab(server.address)
    page.locator(".picture").first.click()
    large = page.locator("#large")
    large.locator("img.big").wait_for()
    assert large.locator(".path").inner_text().endswith(".png")
    assert "cluster" in large.locator("dl").inner_text()
    page.wait_for_function("() => document.querySelector('#large img.big').naturalHeight > 0")
    first = large.locator(".path").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "p => document.querySelector('#large .path').textContent !== p", arg=first
    )
    assert large.locator(".near img").count() > 0
    large.get_by_role("button", name="Show in its place").click()
    assert not large.is_visible()
    assert page.locator("article.current .picture.here").count() == 1


def test_two_clusters_side_by_side(server, run, tab):
    page = tab(server.address)
    page.keyboard.press("a")
    page.keyboard.press("j")
    page.keyboard.press("m")
    ask = page.locator("#ask")
    ask.wait_for()
    assert "Do both show the same individual?" in ask.inner_text()
    press(page, "d", "is not of")
    assert kinds(run) == ["not"]


def test_what_was_merged_stays_the_current_one(server, run, tab):
    page = tab(server.address)
    page.keyboard.press("a")
    page.keyboard.press("j")
    page.keyboard.press("m")
    page.locator("#ask").wait_for()
    place = page.locator("article.current").get_attribute("aria-posinset")
    press(page, "s", "merge")
    assert page.locator("article.current").get_attribute("aria-posinset") in (place, "1")
    press(page, "c", "confirm")
    first, second = read_decisions(run.decisions)
    assert {*second.images} == {*first.images, *first.others}


def test_outliers(run, tab):
    old = read_artifact(run.final.clusters, CLUSTERS)
    labels = old["labels"].copy()
    labels[[0, 7]] = -1
    write_labels(run, labels, old["number"])
    with browsing(run.folder) as server:
        page = tab(server.address)
        page.click("#tab-outliers")
        assert page.locator("article").count() == len(state(server)["outliers"])
        assert 1 <= page.locator("article").first.locator(".target").count() <= 3
        press(page, "1", "move")
        page.locator("article").first.get_by_role("button", name="No match").click()
        says(page, "is a new individual, not ")
        press(page, "u", "Taken back")
        page.locator("article").first.get_by_role("button", name="not this one").first.click()
        says(page, "is not of")
    assert kinds(run) == ["move", "new", "undo", "not"]


def test_filters(server, tab):
    found = clusters(state(server))
    page = tab(server.address)
    page.click("#filters")
    cards = page.locator("article")
    for field, value, fits in (
        ("least", 6, lambda rows: len(rows) >= 6),
        ("most", 5, lambda rows: len(rows) <= 5),
        ("least", 99, lambda rows: False),
    ):
        page.fill(f"#{field}", str(value))
        count = sum(map(fits, found.values()))
        page.wait_for_function("n => document.querySelectorAll('article').length === n", arg=count)
        page.click("#filter [type=reset]")
    page.fill("#find", str(largest(server)[0][0]))
    page.wait_for_function("() => document.querySelectorAll('article').length === 1")
    page.fill("#find", " | ".join(str(number) for number, _ in largest(server)[:2]) + " | ")
    page.wait_for_function("() => document.querySelectorAll('article').length === 2")
    page.click("#filter [type=reset]")
    page.select_option("#sure", "no")
    press(page, "c", "confirm")
    page.wait_for_function(
        "n => document.querySelectorAll('article').length === n", arg=len(found) - 1
    )
    page.select_option("#sure", "yes")
    page.wait_for_function("() => document.querySelectorAll('article').length === 1")
    assert cards.count() == 1


def test_clusters_that_may_be_one_come_first(server, run, tab):
    found = state(server)
    alike = dict(
        zip(found["known"], (one[0][1] if one else 0 for one in found["near"]), strict=True)
    )
    page = tab(server.address)
    page.keyboard.press("j")
    page.select_option("#order", "alike")
    says(page, "Clusters that may be one individual come first")
    page.locator("article[aria-posinset='1'].current").wait_for()
    shown = [int(one.get_attribute("data-number")) for one in page.locator("article").all()]
    assert [alike[one] for one in shown] == sorted(alike.values(), reverse=True)[: len(shown)]
    page.locator("#order").blur()
    page.keyboard.press("m")
    page.locator("#ask").wait_for()
    press(page, "d", "is not of")
    first = page.locator("article.current")
    assert int(first.get_attribute("data-number")) == shown[0]
    near = dict(zip(found["known"], found["near"], strict=True))[shown[0]][0][0]
    assert first.locator(f".chip[data-other='{near}']").count() == 0, "it is answered"
    page.click("#tab-outliers")
    assert not page.locator("#order").is_visible()
    says(page, "no match, a new individual")


def test_cameras_and_times_filter(judged_run, tmp_path, tab):
    folder = shutil.copytree(judged_run.folder, tmp_path / "run")
    with browsing(folder) as server:
        facts = server.desk.run.facts()
        found = clusters(state(server))
        page = tab(server.address)
        page.click("#filters")

        def shows(fits):
            there = {k for k, rows in found.items() if any(map(fits, rows))}
            page.wait_for_function(
                "n => document.querySelectorAll('article').length === n", arg=len(there)
            )
            cards = page.locator("article").all()
            assert {int(one.get_attribute("data-number")) for one in cards} == there

        page.select_option("#camera", label=facts["cameras"][1])
        shows(lambda row: facts["camera"][row] == 1)
        middle = sorted(facts["time"])[len(facts["time"]) // 2]
        page.fill("#from", str(int(middle) + 1))
        shows(lambda row: facts["camera"][row] == 1 and facts["time"][row] >= int(middle) + 1)
        page.fill("#to", str(int(middle) + 1))
        page.select_option("#camera", "")
        shows(lambda row: facts["time"][row] == int(middle) + 1)
        page.click("#filter [type=reset]")
        shows(lambda row: True)
        page.locator(".picture").first.click()
        page.locator("#large dl").wait_for()
        assert "frame " in page.locator("#large dl").inner_text()


def test_a_reload_keeps_everything(server, tab):
    page = tab(server.address)
    press(page, "h", "split")
    press(page, "c", "confirm")
    press(page, "u", "Taken back")
    before = page.locator("#list").inner_text()
    page.reload()
    page.wait_for_selector(READY)
    page.select_option("#order", "number")
    assert sorted(page.locator("#list").inner_text()) == sorted(before)
    press(page, "Shift+U", "Done again")
    press(page, "u", "Taken back")
    press(page, "u", "Taken back")
    assert page.locator("#undo").is_disabled()


def test_two_tabs_see_each_other(server, tab):
    one, other = tab(server.address), tab(server.address)
    one.bring_to_front()
    press(one, "c", "confirm")
    other.bring_to_front()
    says(other, "Another page or command changed the decisions")
    assert other.locator(".sure").count() == 1
    other.evaluate("setInterval = () => 0")
    one.bring_to_front()
    press(one, "u", "Taken back")


def test_a_tab_that_does_not_know_yet_is_told(server, run, tab):
    page = tab(server.address)
    page.route("**/state?*", lambda route: route.abort())
    x, y = server.desk.run.paths[:2]
    DecisionLog(run.decisions).append(Decision(Kind.UNSURE, (x,), (y,)))
    press(page, "c", "decided meanwhile")
    assert kinds(run) == ["unsure"]
    press(page, "c", "confirm")


def test_a_killed_server_loses_nothing(run, tab):
    command = [python(), "-m", "mprd.cli", "browse", str(run.folder), "--no-browser"]

    def start():
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return child, re.search(r"http://\S+/", child.stdout.readline())[0]

    for click in range(3):
        child, address = start()
        try:
            page = tab(address, wrong=True)
            assert len(kinds(run)) == click if run.decisions.is_file() else not click
            press(page, "h" if click % 2 else "c", "split" if click % 2 else "confirm")
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
        page.keyboard.press("j")
        press(page, "c", "Every decision before this is saved")
    assert kinds(run) == ["confirm", "split", "confirm"]


def test_hostile_names_are_text(server, run, tab):
    page = tab(server.address)
    row = server.desk.run.paths.index(f"{HOSTILE}.png")
    number = state(server)["numbers"][row]
    if number < 0:
        page.click("#tab-outliers")
    page.locator(f".picture[data-row='{row}']").click()
    assert page.locator("#large .path").inner_text() == f"{HOSTILE}.png"
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelectorAll('img[onerror]').length") == 0
    press(page, "c" if number >= 0 else "1", HOSTILE[:10] if number < 0 else "confirm")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_hangs_over_the_edge(server, tab, width):
    page = tab(server.address, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for article in page.locator("article").all():
        assert article.evaluate("a => a.scrollHeight - a.clientHeight") <= 1
    page.click("#tab-outliers")
    page.click("#filters")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_of_anyone_is_visible(tab, server):
    page = tab(server.address)
    shown = page.evaluate(
        """async text => {
          const { visible } = await import(new URL("model.js", location).href);
          const { element } = await import(new URL("card.js", location).href);
          const made = element("b", { title: text, alt: text, ariaLabel: text }, text);
          return [visible(text), made.title, made.alt, made.ariaLabel, made.textContent];
        }""",
        "Mü\u202eller\x1b[31m\n\u200b<b>\u200c",
    )
    assert set(shown) == {"Mü\\u{202e}ller\\u{1b}[31m\\u{a}\\u{200b}<b>\u200c"}
