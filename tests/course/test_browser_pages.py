"""Every slider of every notebook, by arrow keys, in its exported page without a kernel (minutes:
each notebook is run).
"""

import pytest

from rebasin_edu.course import build
from rebasin_edu.course.build import export_page

from . import test_browser
from .test_browser import browser, cdn  # noqa: F401

pytestmark = [test_browser.pytestmark, pytest.mark.slow]

WORDS = """handle => {
    let box = handle;
    while (box && !box.querySelector("img")) box = box.parentElement;
    return [...box.querySelectorAll("[role=status]")]
        .filter(line => line.offsetParent).map(line => line.innerText).join(" | ");
}"""


@pytest.mark.parametrize("source", build.source_paths(), ids=lambda path: path.stem)
def test_every_slider_moves(source, browser, cdn, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("REBASIN_EDU_FAST", "1")
    exported = export_page(source, tmp_path)

    def serve(route):
        script = next((name for name in cdn if name in route.request.url), None)
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        elif script:
            route.fulfill(body=cdn[script], content_type="text/javascript")
        else:
            route.abort()

    page = browser.new_page()
    page.route("**/*", serve)
    page.goto(exported.as_uri())
    page.wait_for_selector(".noUi-handle, [role=slider]", timeout=90_000)
    page.wait_for_timeout(1500)
    handles = page.locator(".noUi-handle").all()
    assert handles
    for handle in handles:
        handle.focus()
        seen = {handle.evaluate(WORDS)}
        for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)
            page.wait_for_timeout(300)
            seen.add(handle.evaluate(WORDS))
        assert len(seen) >= 2, f"a slider does not move: {seen}"
    print(f"{source.stem}: {len(handles)} sliders move")
    page.close()
