"""Sphinx: how the site is built. `make docs` executes the notebooks and puts the pages into site/."""

from typing import Any

from sphinx.application import Sphinx

from autolv import __version__
from autolv.schema.record import Record

project = "autolv"
author = "the autolv authors"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]

# pages
html_theme = "furo"
html_title = f"autolv {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
myst_heading_anchors = 3

# notebooks: outputs are made anew each time; nothing is loaded from elsewhere (myst-nb's default for widgets would be)
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 7200  # seconds per cell: a training on real data
nb_merge_streams = True
nb_ipywidgets_js = {}

# the reference, from docstrings
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 100
add_module_names = False


def _without_fields(*given: Any) -> tuple[str, None] | None:
    """Return an empty signature for a record: its fields are listed one by one below."""
    kind = given[3]
    return ("", None) if isinstance(kind, type) and issubclass(kind, Record) else None


def setup(app: Sphinx) -> None:
    """Take records' signatures away."""
    app.connect("autodoc-process-signature", _without_fields)
