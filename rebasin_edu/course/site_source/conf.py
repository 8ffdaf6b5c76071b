"""Sphinx's settings for the site; `rebasin-edu site DIR` lays out what they are used on."""

from importlib import metadata

project = "rebasin_edu"
author = "The rebasin_edu authors"
copyright = author
try:
    release = metadata.version("rebasin_edu")
except metadata.PackageNotFoundError:
    release = ""
html_title = "Git Re-Basin, taught and done"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_static"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_show_sourcelink = False
html_copy_source = False

# Everything that a page runs lies beside it: nothing is fetched from another host.
mathjax_path = "vendor/mathjax/tex-mml-chtml.js"
nb_ipywidgets_js: dict[str, dict] = {"vendor/require.js": {}, "vendor/embed-amd.js": {}}

nb_execution_mode = "off"  # they come executed, with the state of their widgets
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",
    "myst.xref_missing",
    "mystnb.unknown_mime_type",
    "autodoc",
    "ref.python",
    "docutils",
    "toc.not_included",  # tables that results/README points to
]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
