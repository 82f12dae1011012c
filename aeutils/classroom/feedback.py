"""Pages for students that hold nothing but text and pictures of the page itself, whatever a submission put there."""

import html
import re

import nh3

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; base-uri 'none'"
PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
SIZES = ("width", "height")
TAGS = set(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins "
    "kbd li mark ol p pre s samp section small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var".split()
)
ATTRIBUTES = {
    "*": {"class", "id", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "ol": {"start"},
}
# Classes of the page's own style that move a box out of the flow of the text.
MOVING = re.compile(r"fixed|affix|modal|popover|tooltip|dropdown|navbar|sticky|overlay|backdrop|carousel|toast")


def clean_outputs(notebook):
    """Remove, in place, all metadata of outputs but the sizes of pictures."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "metadata" not in output:
                continue
            kept = {}
            for kind, values in output.metadata.items():
                if kind in ("image/png", "image/jpeg") and isinstance(values, dict):
                    sizes = {name: values[name] for name in SIZES if type(values.get(name)) is int and 0 < values[name] < 5000}
                    kept[kind] = sizes
            output.metadata.clear()
            output.metadata.update(kept)


def clean_page(page, title):
    """Clean a rendered page: only listed tags and attributes stay, pictures that lie in the page, and links to web pages.

    The page gets a new head, with nbgrader's style and a policy that keeps the browser from loading or running anything.

    Parameters
    ----------
    page : str
        HTML.
    title : str

    Returns
    -------
    str
        HTML.
    """
    head, _, body = page.partition("</head>")
    styles = "\n".join(re.findall(r"<style[^>]*>.*?</style>", head, re.S))
    styles = re.sub(r"@import[^;]*;|url\((?!\s*['\"]?data:)[^)]*\)", "", styles)
    cleaned = nh3.clean(
        re.sub(r"^.*?<body[^>]*>", "", body, count=1, flags=re.S),
        tags=TAGS,
        clean_content_tags={"script", "style", "template", "noscript", "iframe", "object", "svg", "math"},
        attributes=ATTRIBUTES,
        attribute_filter=_filter_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    return f"""<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="referrer" content="no-referrer">
<title>{html.escape(title)}</title>
{styles}
</head>
<body>
{cleaned}
</body>
</html>
"""


def _filter_attribute(tag, name, value):
    if name == "src":
        return value if PICTURE.fullmatch(value) else None
    if name == "href":
        return value if re.match(r"https?://|mailto:|#", value.strip(), re.I) else None
    if name in SIZES:
        return value if re.fullmatch(r"\d{1,4}", value) else None
    if name == "class":
        return " ".join(word for word in value.split() if not MOVING.search(word))
    return value
