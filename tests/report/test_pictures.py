"""Pictures of a page in a real browser: drawn when they come into view, large at a click."""

import base64
import io

import pytest
from PIL import Image

from mprd.report.page.blocks import Group, Groups, Picture, Section
from mprd.report.page.pages import run_page
from mprd.report.page.render import render
from tests.finished import HOSTILE

DRAWN = "document.querySelectorAll('img[src]').length"


class OneColour:
    """A picture of each row: its red is the row modulo 256."""

    ratio = 0.5

    def addresses(self, rows):
        found = {}
        for row in rows:
            buffer = io.BytesIO()
            Image.new("RGB", (8, 16), (row % 256, 0, 0)).save(buffer, "PNG")
            found[row] = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        return found


def many_clusters(clusters, images):
    groups = [
        Group(
            f"cluster-{k}",
            f"cluster {k}",
            [
                Picture(row, row % 3, "gate", f"{row}.jpg", path=f"crops/{row}.jpg")
                for row in range(k * images, (k + 1) * images)
            ],
            keys=(float(clusters - k), float(k)),
        )
        for k in range(clusters)
    ]
    return render(
        "many", [Section("clusters", "Clusters", blocks=(Groups(groups, ("a", "b")),))], OneColour()
    )


@pytest.fixture
def shown(browser, tmp_path):
    """Return a function: a page in the browser; at the end nothing was said and nothing asked."""
    said, asked, opened = [], [], []

    def show(html, width=1280):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900})
        opened.append(page)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function(f"{DRAWN} > 0")
        return page

    yield show
    for page in opened:
        page.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == len(opened)


def test_a_thousand_clusters_are_drawn_as_they_come_into_view(shown):
    page = shown(many_clusters(1000, 10))
    assert page.locator("article").count() == 1000
    assert page.evaluate(DRAWN) < 300
    assert page.locator("#cluster-700 img").count() == 0
    before = page.evaluate("document.documentElement.scrollHeight")
    page.locator("#cluster-700").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelectorAll('#cluster-700 img[src]').length == 10")
    assert page.evaluate(DRAWN) < 600
    after = page.evaluate("document.documentElement.scrollHeight")
    assert abs(after - before) < 0.01 * before, "the room was kept"
    broken = "[...document.querySelectorAll('img[src]')].filter(i => i.complete && !i.naturalWidth)"
    assert page.evaluate(f"{broken}.length") == 0


def test_the_reader_sorts(shown):
    page = shown(many_clusters(30, 2))
    assert page.locator("article").first.get_attribute("id") == "cluster-0"
    page.select_option("select.order", "b")
    assert page.locator("article").first.get_attribute("id") == "cluster-29"
    page.select_option("select.order", "a")
    assert page.locator("article").first.get_attribute("id") == "cluster-0"


@pytest.mark.parametrize("width", [400, 1280])
def test_a_click_shows_a_picture_large(shown, width):
    page = shown(many_clusters(3, 4), width)
    large = page.locator("#large")
    assert not large.is_visible()
    page.locator("#cluster-1 button.picture").nth(2).click()
    assert large.locator("p").inner_text() == "crops/6.jpg"
    assert page.evaluate("[...document.querySelectorAll('#large img')].every(i => i.complete)")
    box = large.locator("img").bounding_box()
    assert box["height"] > 300
    assert large.bounding_box()["width"] <= width
    page.keyboard.press("ArrowRight")
    assert large.locator("p").inner_text() == "crops/7.jpg"
    page.keyboard.press("ArrowRight")
    assert large.locator("p").inner_text() == "crops/7.jpg", "the last of its row"
    page.keyboard.press("Escape")
    assert not large.is_visible()
    page.wait_for_function("document.activeElement.dataset.row === '7'")
    page.keyboard.press("Enter")
    assert large.is_visible(), "by the keyboard alone"
    assert page.evaluate("large.querySelector('img').src") == OneColour().addresses([7])[7]
    page.get_by_role("button", name="Close").click()
    assert not large.is_visible()


def test_what_is_said_of_a_picture(shown, timed_run):
    page = shown(run_page(timed_run.folder), 400)
    page.locator("#clusters button.picture").first.click()
    large = page.locator("#large")
    assert large.locator("p").inner_text().startswith("bounding_box_train/")
    names = large.locator("dt").all_inner_texts()
    assert names[:4] == ["camera", "time", "identity", "cluster"]
    assert large.locator("dd").nth(1).inner_text().startswith("frame ")


def test_hostile_names_are_text(shown, bare_run):
    """The crop by this name is drawn, pointed at, opened and closed: no tag, no message box."""
    page = shown(run_page(bare_run.folder))
    name = f"{HOSTILE}.png"
    button = page.locator("#clusters button.picture", has=page.get_by_alt_text(name, exact=True))
    button.scroll_into_view_if_needed()
    button.hover()
    button.click()
    assert page.locator("#large p").inner_text() == name
    assert page.evaluate("document.querySelectorAll('img[onerror]').length") == 0
    page.keyboard.press("Escape")
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_timeout(200)


def test_the_next_command_is_copied(shown, bare_run):
    page = shown(run_page(bare_run.folder))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".command button").click()
    page.wait_for_function("document.querySelector('.command button').textContent == 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == f"mprd answer --run {bare_run.folder}"


def test_a_link_unfolds_the_settings(shown, bare_run):
    page = shown(run_page(bare_run.folder), 400)
    table = page.locator("#settings table").first
    assert not table.is_visible()
    page.locator("nav a", has_text="Settings").click()
    assert table.is_visible()
