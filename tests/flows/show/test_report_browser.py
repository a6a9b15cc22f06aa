"""The report's pages in a real browser: nothing of a stranger runs, rows come on demand, filters, order,
keys, slider, comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Browser, needs_chromium
from toy_pictures import paint, photo, project

from turnaround.flows.report import write_comparison, write_sweep, write_work_page
from turnaround.flows.report.document import Document
from turnaround.flows.report.page import write_page
from turnaround.flows.report.rows import Cell, Row
from turnaround.flows.report.thumbs import Thumbs
from turnaround.pipeline.store.store import Store

pytestmark = needs_chromium

HOSTILE = ("<img src=x onerror=window.hacked=1>", "100% #1 what? 'a\" & b;c", "Zoë 人 ‮txt")
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    window = Browser(tmp_path_factory.mktemp("profile"), (1280, 800))
    yield window
    window.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Photos and a work folder on a path that needs quoting; four subjects, three with hostile names, one
    failed."""
    root = tmp_path_factory.mktemp("a b%20#c")
    for k, name in enumerate(HOSTILE):
        photo(root / "photos" / f"{name}.png", (60 * (k + 1), 180, 160))
    photo(root / "photos" / "dora.png", (255, 0, 0))
    paint(root / "photos", root / "work")
    return root


@pytest.fixture(scope="module")
def page(folder) -> str:
    return write_work_page(project(), folder / "work").resolve().as_uri()


def show(browser: Browser, url: str, rows: int) -> None:
    browser.open(url)
    browser.wait(
        f"document.readyState === 'complete' && document.querySelectorAll('.row.filled').length >= {rows}"
    )


def press(browser: Browser, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])


def box_of(browser: Browser, selector: str) -> list[float]:
    """Left, top, width, height in pixels."""
    return browser.run(
        f"(b => [b.x, b.y, b.width, "
        f"b.height])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )


def point(browser: Browser, selector: str, x: float, kind: str = "mouseMoved", **more) -> None:
    """The pointer at a share of an element's width."""
    box = box_of(browser, selector)
    browser.send("Input.dispatchMouseEvent", type=kind, x=box[0] + x * box[2], y=box[1] + box[3] / 2, **more)


def names(browser: Browser) -> list[str]:
    return browser.run("[...document.querySelectorAll('.row .name')].map(node => node.textContent)")


def opened(browser: Browser) -> tuple[str, str]:
    """Subject and picture of the full-size view."""
    parts = (
        "['strong', 'span:nth-child(2)'].map(part => document.querySelector(`.lightbox[open] header > "
        "${part}`)?.textContent)"
    )
    return tuple(browser.run(f"{parts}.filter(Boolean)"))


def test_names_and_messages_of_strangers_are_text(browser, page):
    show(browser, page, 4)
    browser.wait("[...document.querySelectorAll('.row img')].every(image => image.complete)")
    assert sorted(names(browser)) == sorted([*HOSTILE, "dora"])
    assert "</script><script>window.hacked = 1</script>" in browser.run(
        "document.querySelector('.who .why.failure').textContent"
    )
    browser.run(
        "[...document.querySelectorAll('button.name')].forEach(button => { button.click(); "
        "document.querySelector('.detail').close(); })"
    )
    assert browser.run(
        "window.hacked === undefined && !document.querySelector('img[src=x], i.stranger') && "
        "document.scripts.length === 2"
    )
    assert browser.errors == [] and all(url.startswith("file:") for url in browser.requests)


def test_every_picture_loads_from_awkward_paths(browser, page):
    show(browser, page, 4)
    browser.run(
        "[...document.querySelectorAll('.chip')].find(chip => chip.textContent === 'All pictures').click()"
    )
    browser.wait("document.querySelectorAll('.row.filled .grid img').length >= 15")
    browser.run("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    browser.wait("[...document.querySelectorAll('.row img')].every(image => image.complete)")
    assert browser.run("[...document.querySelectorAll('.row img')].every(image => image.naturalWidth > 0)")
    links = browser.run(
        "document.querySelector('.row .picture').click(); [...Array(12)].map(() => { "
        "document.querySelector('.lightbox .next').click(); "
        "return document.querySelector('.lightbox header a')?.href; })"
    )
    links = sorted({link for link in links if link})  # the losses have none
    loaded = browser.run(
        "Promise.all(links.filter(url => url.endsWith('.png')).map(url => new Promise(done => "
        "Object.assign(new Image(), { src: url, onload: () => done(true), onerror: () => "
        "done(url) }))))".replace("links", json.dumps(links), 1)
    )
    assert loaded == [True] * len(loaded) and len(loaded) >= 7


def test_filter_order_and_state(browser, page):
    show(browser, page, 4)
    type_ = (
        "(text => { const s = document.querySelector('.search'); s.value = text; s.dispatchEvent(new "
        "Event('input')); })"
    )
    browser.run(f"{type_}('DORA')")
    assert names(browser) == ["dora"]
    browser.run(f"{type_}('poor fit')")
    assert names(browser) == []
    browser.run(f"{type_}('')")
    browser.run("document.querySelector('.chip[data-name=Failed]').click()")
    assert names(browser) == ["dora"]
    browser.run("document.querySelector('.chip[data-name=All]').click()")
    browser.run(
        "{ const m = document.querySelector('.sort select'); m.selectedIndex = 1; m.dispatchEvent(new "
        "Event('change')); }"
    )
    assert names(browser) == [*HOSTILE, "dora"]  # by fit, which grows with brightness; without one at the end
    browser.run("document.querySelector('.sort button').click()")
    assert names(browser)[-3:] == [*HOSTILE][::-1]


def test_full_size_with_the_keys(browser, page):
    show(browser, page, 4)
    first, second = names(browser)[:2]
    browser.run("document.querySelector('.row .picture').click()")
    assert opened(browser) == (first, "photo")
    press(browser, "ArrowRight")
    assert opened(browser) == (first, "paint / before | after")
    press(browser, "ArrowDown")
    assert opened(browser) == (second, "paint / before | after")
    press(browser, "ArrowLeft")
    press(browser, "ArrowLeft")
    assert opened(browser) == (second, "print / sheet")  # round the end
    assert "item=print%2Fsheet" in browser.run("location.hash")
    press(browser, "ArrowUp")
    assert opened(browser) == (first, "print / sheet")
    press(browser, "Escape")
    assert opened(browser) == ()
    browser.wait("location.hash === ''", 5)
    assert browser.errors == []


def test_the_slider_shows_the_one_and_the_other(browser, page):
    show(browser, page + "#item=paint%2Fcompare&subject=Zo%C3%AB+%E4%BA%BA+%E2%80%AEtxt", 4)
    browser.wait("[...document.querySelectorAll('.lightbox .pair img')].every(i => i.naturalWidth > 0)")
    box = box_of(browser, ".lightbox .pair")
    x, y = round(box[0] + box[2] / 2), round(box[1] + box[3] / 2)

    def middle(at: float) -> np.ndarray:
        point(browser, ".lightbox .pair", at, "mousePressed", button="left", clickCount=1)
        point(browser, ".lightbox .pair", at, "mouseReleased", button="left", clickCount=1)
        return browser.picture()[y, x].astype(int)

    before, after = middle(0.95), middle(0.05)
    assert after[0] - before[0] == pytest.approx(255 * 0.1, abs=3)  # paint: 0.1 before, 0.2 after


def test_losses_and_details(browser, page):
    show(browser, page, 4)
    browser.run("document.querySelector('.losses').click()")
    assert browser.run("document.querySelectorAll('.lightbox .plot path').length") == 2
    point(browser, ".lightbox .plot", 0.99)
    assert browser.run("document.querySelector('.readout').textContent").startswith(
        "iteration 8:  front 0.05556"
    )
    browser.run("document.querySelector('.lightbox .series').click()")
    assert browser.run("document.querySelectorAll('.lightbox .plot path').length") == 1
    press(browser, "Escape")
    browser.run("document.querySelector('button.name').click()")
    text = browser.run("document.querySelector('.detail').textContent")
    for word in ("fit, IoU", "shade", "version 1", "film.mp4", "trace.json"):
        assert word in text


def test_a_thousand_rows_are_filled_as_they_come(browser, folder, tmp_path):
    store = Store(folder / "work")
    record = next(r for r in store.records() if r.manifest["stage"] == "paint")
    file = tmp_path / "page.html"
    document = Document(file, Thumbs(folder / "work" / "report" / "thumbs"))
    rows = [Row(f"person {k}", None, (Cell("paint", "FRESH", record),)) for k in range(1000)]
    subjects = [document.subject(row, folder / "work") for row in rows]
    write_page(file, document.head("work", "many") | {"subjects": subjects})
    show(browser, file.as_uri(), 5)
    assert len(names(browser)) == 1000 and browser.run("document.querySelectorAll('.row.filled').length") < 60
    browser.run("window.scrollTo(0, document.body.scrollHeight)")
    browser.wait("document.querySelector('.row:last-child').classList.contains('filled')")
    assert (
        browser.run("document.querySelectorAll('.row.filled').length") < 150
        and names(browser)[-1] == "person 999"
    )


def test_comparison_and_sweep(browser, folder):
    results = {
        "shade=0.5": paint(folder / "photos", folder / "work"),
        "shade=0.9": paint(folder / "photos", folder / "work", "stages.paint.shade=0.9"),
    }
    runs = sorted(
        (file.parent for file in (folder / "work" / "runs").glob("*/report.json")),
        key=lambda run: (run / "report.json").stat().st_mtime_ns,
    )
    show(
        browser,
        write_comparison(project(), folder / "work", str(runs[-2]), str(runs[-1])).resolve().as_uri(),
        4,
    )
    assert "shade: 0.5 -> 0.9" in browser.run("document.querySelector('.head').textContent")
    assert browser.run("document.querySelectorAll('.triple').length") == 6 and "dB, max 41" in browser.run(
        "document.body.textContent"
    )
    browser.run("document.querySelector('.triple .picture').click()")
    browser.wait("[...document.querySelectorAll('.full-diff img')].every(image => image.naturalWidth > 0)")
    box = box_of(browser, ".blend")
    x, y = round(box[0] + box[2] / 2), round(box[1] + box[3] / 2)
    assert browser.picture()[y, x] == pytest.approx(
        255 - 4 * 41, abs=5
    )  # four times the difference, dark on white
    assert browser.errors == []
    show(browser, write_sweep(folder / "work", results).resolve().as_uri(), 4)
    assert (
        browser.run("document.querySelector('.tools select').value") == "paint/after"
        and browser.run("document.querySelectorAll('.row .picture img').length") == 6
    )
    browser.run("document.querySelector('.row .picture').click()")
    press(browser, "ArrowRight")
    assert opened(browser)[1] == "paint / after" and "shade=0.9" in browser.run(
        "document.querySelector('.lightbox header').textContent"
    )
    assert browser.errors == [] and browser.run("window.hacked === undefined")


def test_a_phone_scrolls_each_row_but_never_the_page(browser, page):
    shape = {"height": 800, "deviceScaleFactor": 1}
    browser.send("Emulation.setDeviceMetricsOverride", width=360, mobile=True, **shape)
    try:
        show(browser, page, 3)
        wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth, innerWidth]"
        assert browser.run(wide) == [360, 360, 360]
        strip = "(c => c.scrollWidth > c.clientWidth)(document.querySelector('.row .cells'))"
        assert browser.run(strip), "the pictures that do not fit are reached by a scroll of their row"
        browser.run("document.querySelector('button.name').click()")
        assert browser.run("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('.detail'))")
        assert browser.run(wide) == [360, 360, 360]
    finally:
        browser.send("Emulation.setDeviceMetricsOverride", width=1280, mobile=False, **shape)
