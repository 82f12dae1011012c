"""Sphinx's settings. `make_site.py` fills the source folder and calls Sphinx."""

import inspect
import os
import re
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
sys.path[:0] = [str(SITE), str(ROOT)]

project = "Autoencoders, one question at a time"
author = "The autoencoder course authors"
copyright = "the autoencoder course authors, MIT licence"
html_title = project
repository = os.environ.get("SITE_REPOSITORY", "")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_copybutton"]
exclude_patterns = []
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]  # the recorded metrics; their text is shown

# The helpers are imported for their docstrings only: everything but NumPy, whose types stand in signatures, is replaced.
autodoc_mock_imports = """aeutils.backend IPython PIL filelock joblib keras matplotlib nbclient nbconvert nbformat pandas papermill
    pooch psutil scipy sklearn tensorflow threadpoolctl tqdm yaml""".split()
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_static_path = [str(SITE / "static"), str(Path(os.environ.get("SITE_WORK", SITE)) / "static")]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_sourcelink_suffix = ""  # the link for the download serves the notebook itself
html_last_updated_fmt = None
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}
html_theme_options = {"sidebar_hide_name": False, "top_of_page_buttons": []}


def add_links(app, pagename, templatename, context, doctree):
    """Put the links to download and to run a lesson below its title, and say what the pictures of its cells are."""
    if not pagename.startswith("notebooks/") or "body" not in context:
        return
    name = Path(pagename).name + ".ipynb"
    links = [(f'{context["pathto"]("_sources/" + pagename + ".ipynb", 1)}" download="{name}', "Download the notebook")]
    if repository and pagename.count("/") == 1:
        links.append((f"https://colab.research.google.com/github/{repository}/blob/gh-pages/colab/{name}", "Run it on Colab"))
    if repository:
        links.append((f"https://mybinder.org/v2/gh/{repository}/main?labpath={pagename}.ipynb", "Run it on Binder"))
    bar = "".join(f'<li><a href="{address}">{text}</a></li>' for address, text in links)
    head, end, rest = context["body"].partition("</h1>")
    rest = re.sub(r'alt="[^"]*_images/[^"]*"', 'alt="Figure drawn by the cell above"', rest)  # was the name of the file
    context["body"] = f'{head}{end}<ul class="lesson-links">{bar}</ul>{rest}'


def mend_sidebar(app, pagename, templatename, context, doctree):
    """Give the captions of the sidebar the level that a screen reader asks of a heading."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def show_arguments(app, what, name, obj, options, signature, annotation):
    """A class whose base is replaced would show the arguments of the replacement."""
    if what == "class" and "__init__" in vars(obj):
        _, *parameters = inspect.signature(obj.__init__).parameters.values()
        return str(inspect.Signature(parameters)), annotation


def setup(app):
    app.connect("autodoc-process-signature", show_arguments)
    app.connect("html-page-context", add_links)
    app.connect("html-page-context", mend_sidebar, priority=900)  # after the theme
