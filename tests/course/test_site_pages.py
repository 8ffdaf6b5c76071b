"""The pages of the site in a browser with the network cut off: sliders, decks, accessibility.

``make site-test`` reads the whole site that ``make site`` has built; elsewhere, where Sphinx, npm
and Chromium are, two of its notebooks are built here.
"""

import functools
import http.server
import importlib.util
import os
import re
import threading
import time
from pathlib import Path

import nbformat
import pytest

from rebasin_edu.course import site, student, vendor
from rebasin_edu.course.repository import stored_notebooks

from . import test_browser
from .test_browser import browser  # noqa: F401

pytestmark = [test_browser.pytestmark, pytest.mark.slow]

BUILT = os.environ.get("REBASIN_EDU_SITE")  # a folder with the whole site
NAMES = [path.stem for path in stored_notebooks()] if BUILT else ["00_tour", "04_weight_matching"]
TEXTS = ["index", "spec", "api", "GLOSSARY", "DATA", "TEACHING", "results/README"]
KEYS = ("ArrowRight", "ArrowLeft", "ArrowLeft", *["ArrowRight"] * 5)  # some frames are alike


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def served(folder):
    """A server of a folder on this machine: a context, whose ``server_port`` it listens on."""
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The rules of accessibility, as a script."""
    try:
        folder = vendor.vendor(tmp_path_factory.mktemp("axe"), ["axe-core"])
    except vendor.NoScripts as error:
        pytest.skip(str(error))
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The address of the site, served from this machine."""
    folder = Path(BUILT) if BUILT else tmp_path_factory.mktemp("site") / "html"
    if not BUILT:
        if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("furo") is None:
            pytest.skip("the extra `site` is not installed")
        try:
            site.build_site(folder, NAMES)
        except vendor.NoScripts as error:
            pytest.skip(str(error))
        assert [path.name for path in folder.parent.iterdir()] == ["html"], "nothing else is left"
    with served(folder) as server:
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handout")
    try:
        vendor.vendor(folder / "tried", ["reveal.js"])
    except vendor.NoScripts as error:
        pytest.skip(str(error))
    student.write_editions(folder)
    with served(folder / "slides") as server:
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def opened(browser, host, name, **options):  # noqa: F811
    """A page with the network cut off, and what it asked of other hosts or complained about."""
    page, faults = browser.new_page(**options), []

    def serve(route):
        if route.request.url.startswith((host, "data:", "blob:")):
            route.continue_()
        else:
            faults.append(f"asks {route.request.url}")
            route.abort()

    page.route("**/*", serve)
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{host}/{name}.html")
    return page, faults


VIEW = """handle => {
    let box = handle;
    while (box && !box.querySelector("img")) box = box.parentElement;
    const shown = kind => [...box.querySelectorAll(kind)].filter(x => x.offsetParent);
    const words = shown("[role=status]").map(x => x.innerText).join();
    return [shown("img").map(x => x.src).join(), words];
}"""
TRACK = """handle => {
    const {x, y, width, height} = handle.closest(".noUi-target").getBoundingClientRect();
    return [x, y + height / 2, width];
}"""


def dragged(page, handle, share):
    """Drag a handle to a share of its track by mouse."""
    handle.scroll_into_view_if_needed()
    left, middle, width = handle.evaluate(TRACK)
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(left + share * width, middle, steps=4)
    page.mouse.up()


def assert_both_change(seen, how):
    assert len({picture for picture, _ in seen}) >= 2, f"the picture does not change by {how}"
    assert len({words for _, words in seen}) >= 2, f"its line of text does not change by {how}"


RAW = """() => ![...document.querySelectorAll("p")].some(x => x.textContent.match(/\\$\\\\/))"""


def assert_formulas_are_set(page, name):
    (path,) = stored_notebooks([name])
    texts = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"]
    if any(re.search(r"\$[^$]+\$", text) for text in texts):
        page.wait_for_selector("mjx-container", state="attached", timeout=60_000)
        page.wait_for_function(RAW, timeout=60_000)


@pytest.mark.parametrize("name", NAMES)
def test_every_slider_moves_by_keyboard_and_by_mouse(pages, browser, name):  # noqa: F811
    started = time.perf_counter()
    page, faults = opened(browser, pages, name)
    page.wait_for_selector(".noUi-handle", timeout=90_000)
    alive = time.perf_counter() - started
    page.wait_for_timeout(1500)
    handles = page.locator(".noUi-handle").all()
    assert handles
    for handle in handles:
        assert handle.get_attribute("aria-label")
        handle.focus()
        seen = [handle.evaluate(VIEW)]
        for key in KEYS:
            page.keyboard.press(key)
            page.wait_for_timeout(300)
            seen.append(handle.evaluate(VIEW))
        assert_both_change(seen, "keyboard")
        seen = []
        for share in (0, 1):
            dragged(page, handle, share)
            page.wait_for_timeout(300)
            seen.append(handle.evaluate(VIEW))
        assert_both_change(seen, "mouse")
    assert_formulas_are_set(page, name)
    assert faults == []
    print(f"{name}: {len(handles)} sliders, the first there after {alive:.1f} s")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*TEXTS, *NAMES])
def test_no_serious_violation_of_accessibility(pages, browser, axe, name, scheme):  # noqa: F811
    page, faults = opened(browser, pages, name, color_scheme=scheme)
    page.wait_for_timeout(1500)
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(result => result.violations)")
    grave = [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert grave == [] and faults == []
    page.close()


@pytest.mark.parametrize("width", [420, 768, 1280])
@pytest.mark.parametrize("name", ["index", *NAMES])
def test_nothing_is_cut_at_any_width(pages, browser, name, width):  # noqa: F811
    page, _ = opened(browser, pages, name, viewport={"width": width, "height": 900})
    page.wait_for_timeout(1500)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width, "the page scrolls sideways"
    cut = page.evaluate(
        """[...document.querySelectorAll("article img")].filter(x => x.offsetParent)
        .filter(x => x.getBoundingClientRect().right > innerWidth + 1).map(x => x.alt)"""
    )
    assert cut == []
    page.close()


LEAVES = "[...document.querySelectorAll('.slides section:not(.stack)')]"


@pytest.mark.parametrize("name", [path.stem for path in stored_notebooks()])
def test_a_deck_is_shown_without_a_network(decks, browser, name):  # noqa: F811
    page, faults = opened(browser, decks, f"{name}.slides")
    page.wait_for_selector(".reveal.ready", timeout=90_000)
    total = page.evaluate(f"{LEAVES}.length")
    seen = set()
    for _ in range(total):
        seen.add(page.evaluate(f"{LEAVES}.findIndex(x => x.classList.contains('present'))"))
        page.keyboard.press("Space")
    assert total > 20 and len(seen) == total, "a key does not go from each slide to the next"
    assert page.locator(".reveal img").count() >= 3
    assert_formulas_are_set(page, name)
    assert faults == []
    page.close()
