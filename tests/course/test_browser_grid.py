"""Two sliders over one grid of pictures, by arrow keys, in an exported page without a kernel."""

import nbformat

from . import test_browser
from .test_browser import browser, cdn  # noqa: F401

pytestmark = test_browser.pytestmark

CELL = """\
import rebasin_edu as rb
rb.show.slider_grid(
    rb.course.figures.draw_vector_diagram, [0, 0.5, 1], [0, 0.25, 0.5],
    descriptions=("rho", "alpha"),
    text=lambda rho, alpha: f"rho {rho:g}, alpha {alpha:g}", start=(1, 1),
)"""


def shown(page) -> tuple[str, str]:
    page.wait_for_timeout(400)
    line = page.locator(".jupyter-widgets [role=status]:visible").first.inner_text()
    return line, page.locator("img:visible").first.get_attribute("src")


def test_both_sliders_move_the_picture(browser, cdn, tmp_path):  # noqa: F811
    from nbconvert import HTMLExporter

    from rebasin_edu.course.build import run

    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = run(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata=kernel),
        widget_state=True,
    )
    body, _ = HTMLExporter().from_notebook_node(notebook)
    (tmp_path / "page.html").write_text(body)

    def serve(route):
        url = route.request.url
        script = next((name for name in cdn if name in url), None)
        if url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        elif script:
            route.fulfill(body=cdn[script], content_type="text/javascript")
        else:
            route.abort()

    page = browser.new_page()
    page.route("**/*", serve)
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(".noUi-handle, [role=slider]", timeout=60_000)
    start, picture = shown(page)
    assert start == "rho 0.5, alpha 0.25"
    rho, alpha = page.locator(".noUi-handle, [role=slider]").all()
    alpha.focus()
    page.keyboard.press("ArrowRight")
    assert shown(page)[0] == "rho 0.5, alpha 0.5"
    rho.focus()
    page.keyboard.press("ArrowRight")
    line, moved = shown(page)
    assert line == "rho 1, alpha 0.5"
    assert moved != picture
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert shown(page)[0] == "rho 0, alpha 0.5"
    page.close()
