"""The pages for reading: what is read from the lessons, the build, and the pages in a browser (slow)."""

import ast
import html
import json
import os
import re
import shutil
import sys
import time
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

import course_pages as course
import export_weights
import make_site
from conftest import REPOSITORY

TOUCH = sorted(path.stem for path in (REPOSITORY / "site" / "pages" / "touch").glob("*.md") if path.stem != "index")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (390, 768, 1280)


def _write_lesson(folder, name, *texts):
    cells = [{"cell_type": "markdown", "source": text} for text in texts]
    (folder / name).write_text(json.dumps({"cells": cells}), encoding="utf-8")


# ---- what is read from the lessons


def test_opening_of_a_lesson(tmp_path):
    _write_lesson(tmp_path, "03_noise.ipynb", "# 03 · Noise\n\n**Can it?**\n\n![Clothes](pictures/03_result.png)\n\nText.")
    _write_lesson(tmp_path, "notes.ipynb", "# Notes")
    (lesson,) = course.find_lessons(tmp_path)
    assert (lesson.number, lesson.title, lesson.question) == ("03", "03 · Noise", "Can it?")
    assert lesson.picture == ("Clothes", "pictures/03_result.png")


def test_cards_repeat_the_table_of_the_readme(tmp_path):
    _write_lesson(tmp_path, "01_a.ipynb", "# 01 · A\n\n**Why?**")
    _write_lesson(tmp_path, "02_b.ipynb", "# 02 · B\n\n**How?**")
    readme = """| notebook | question | data | what comes out | minutes on 2 cores: default; this page |
|---|---|---|---|---|
| [01 A](notebooks/01_a.ipynb) | Why? | MNIST | MSE 0.01 | 2; 12 |

| other | table |
|---|---|
| [02 B](notebooks/02_b.ipynb) | no |
"""
    cards = course.write_cards(course.find_lessons(tmp_path), readme)
    assert "*On MNIST:* MSE 0.01." in cards and "2 minutes on 2 CPU cores; the run of its page: 12" in cards
    assert "**[02 · B](notebooks/02_b.ipynb)**\n\nHow?" in cards


def test_first_definition_of_a_term_counts(tmp_path):
    idea = "## Idea\n\nWe flag some. The **recall** (재현율) is the share\nof the anomalies that are flagged. More text.\n\n- an *atom* (원자, AT): a part;"
    _write_lesson(tmp_path, "01_a.ipynb", "# A", idea, "| **noise** (잡음) | formula |")
    _write_lesson(tmp_path, "02_b.ipynb", "# B", "## Idea\n\nHere *recalls* (재현) again, and **bold** (no Korean).")
    atom, recall = course.collect_terms(course.find_lessons(tmp_path))
    assert (recall.name, recall.korean, recall.lesson.number, recall.section) == ("Recall", ["재현율", "재현"], "01", "Idea")
    assert recall.definition.startswith("The **recall** (재현율) is the share of the anomalies that are flagged.")
    assert [lesson.number for lesson in recall.also] == ["02"]
    assert (atom.name, atom.korean) == ("Atom", ["원자"])


def test_a_definition_that_points_back_takes_its_neighbour():
    text = "A network learns without labels. This is **pretraining** (사전 학습). It takes long."
    definition = course._cut_definition(text, text.index("**pretraining"))
    assert definition == "A network learns without labels. This is **pretraining** (사전 학습)."


def test_glossary_of_the_lessons():
    terms = {term.name: term for term in course.collect_terms(course.find_lessons())}
    assert len(terms) >= 50 and "재현율" in terms["Recall"].korean and terms["Autoencoder"].lesson.number == "01"
    assert all(20 <= len(term.definition) <= 700 for term in terms.values())


def test_sources_of_several_lessons_become_one_list(tmp_path):
    first = "- Kingma, Ba 2015, arXiv:1412.6980: Adam. Ng 2011, [*Sparse: a note*](https://a.b/(1)), CS: sparse.\n- Frey 2013, *A*: x. The same 2015, *B*."
    _write_lesson(tmp_path, "01_a.ipynb", "# A", f"## Next and sources\n\nNext.\n\n{first}")
    _write_lesson(
        tmp_path, "02_b.ipynb", "# B", "## Next and sources\n\n- Kingma, Ba 2015, [*Adam*](https://c.d), ICLR: optimiser."
    )
    sources = course.collect_sources(course.find_lessons(tmp_path))
    assert [source.citation for source in sources] == [
        "Frey 2013, *A*",
        "Frey 2015, *B*",
        "Kingma, Ba 2015, [*Adam*](https://c.d), ICLR",
        "Ng 2011, [*Sparse: a note*](https://a.b/(1)), CS",
    ]
    assert [(lesson.number, remark) for lesson, remark in sources[2].uses] == [("01", "Adam"), ("02", "optimiser")]


def test_every_source_of_the_lessons_is_read_as_a_work_with_a_year():
    sources = course.collect_sources(course.find_lessons())
    assert len(sources) >= 40
    for source in sources:
        assert re.match(rf"[^*\[]{{2,150}} {course.YEAR}(,|$)", source.citation), source.citation
        assert not re.search(r"(?<!arXiv): [A-Z][a-z]+, [A-Z][a-z]+ \d{4},", str(source.uses)), source.uses


def test_links_that_leave_the_site(monkeypatch):
    monkeypatch.setattr(make_site, "REPOSITORY", "me/course")
    text = "[list](../README.md) [own](own_data.md#top) [log](../CHANGELOG.md) [out](https://a.b) ![p](../README.md)"
    mended = make_site.mend_links(text, "docs/testing.md", {"docs/own_data.md"})
    kept = "[own](own_data.md#top)", "[out](https://a.b)", "![p](../README.md)"
    assert all(link in mended for link in kept)
    assert "[list](../index.md)" in mended and "[log](https://github.com/me/course/blob/main/CHANGELOG.md)" in mended
    monkeypatch.setattr(make_site, "REPOSITORY", "")
    assert make_site.mend_links("[log](../CHANGELOG.md)", "docs/testing.md", set()) == "log"


def test_copies_for_colab_install_without_replacing_what_colab_has(tmp_path, monkeypatch):
    monkeypatch.setattr(make_site, "REPOSITORY", "me/course")
    make_site.write_colab_copies(tmp_path)
    for lesson in course.find_lessons():
        copy = json.loads((tmp_path / "colab" / lesson.path.name).read_text(encoding="utf-8"))
        original = json.loads(lesson.path.read_text(encoding="utf-8"))
        code = ["".join(cell["source"]) for cell in copy["cells"] if cell["cell_type"] == "code"]
        assert code[0].startswith("%pip install -q --no-deps") and "me/course" in code[0]
        assert code[1:] == ["".join(cell["source"]) for cell in original["cells"] if cell["cell_type"] == "code"]
        assert "](pictures/" not in json.dumps(copy)


# What Colab has of the packages that the course uses (release of 2026; TensorFlow 2.19, IPython 7).
ON_COLAB = set(
    "IPython PIL filelock joblib keras matplotlib nbformat numpy pandas psutil scipy sklearn tensorflow threadpoolctl tqdm yaml".split()
)


def _collect_imports(code, name):
    """The packages that code imports, through all modules of aeutils that it imports when it starts or later."""
    waiting, packages, seen = [(name, code)], {}, set()
    while waiting:
        name, code = waiting.pop()
        for node in ast.walk(ast.parse(code)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for imported in names:
                package = imported.partition(".")[0]
                path = REPOSITORY / (imported.replace(".", "/") + ".py")
                if package == "aeutils" and imported not in seen:
                    seen.add(imported)
                    path = path if path.exists() else REPOSITORY / imported.replace(".", "/") / "__init__.py"
                    waiting.append((imported, path.read_text(encoding="utf-8")))
                elif package != "aeutils" and package not in sys.stdlib_module_names:
                    packages[package] = name
    return packages


def test_lessons_import_only_what_colab_has_or_the_first_cell_installs():
    for path in REPOSITORY.glob("notebooks/[0-9][0-9]_*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        packages = _collect_imports(code, path.name)
        lacking = {package: name for package, name in packages.items() if package not in ON_COLAB | {"pooch"}}
        assert not lacking, path.name


def test_packed_numbers_come_back():
    values = np.random.default_rng(0).normal(size=(20, 3)) * [1, 10, 100]
    packed = export_weights.pack(values)
    assert packed["shape"] == [20, 3] and len(packed["data"]) == 2 * values.size
    assert np.all(np.abs(export_weights.unpack(packed) - values) <= np.ptp(values, axis=0) / 4095)
    assert np.allclose(export_weights.unpack(export_weights.pack_row([0.5, 0.5])), 0.5)


@pytest.mark.parametrize("name", TOUCH)
def test_page_to_touch_is_complete_and_small(name):
    page = (REPOSITORY / "site" / "pages" / "touch" / f"{name}.md").read_text(encoding="utf-8")
    weights = REPOSITORY / "site" / "static" / "touch" / f"{name}.js"
    script = REPOSITORY / "site" / "static" / "touch.js"
    assert (
        f"touch/{name}.js" in page and re.search(r"::::\{container\} touch\n!\[.{20,}\]\((\w+\.png)\)", page)[1] == f"{name}.png"
    )
    assert export_weights.read(name)["page"] == name
    assert weights.stat().st_size + script.stat().st_size < 500_000


# ---- the build


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("myst_nb", reason="NOT RUN: the site is not built here; `make site` installs what it needs")
    out = tmp_path_factory.mktemp("build") / "site"
    start = time.perf_counter()
    make_site.REPOSITORY = os.environ["SITE_REPOSITORY"] = "me/course"
    assert make_site.main(["--out", str(out)]) == 0
    assert time.perf_counter() - start < 120  # 20 s on two cores that do nothing else
    return out


def _find_pages(site):
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


@pytest.mark.slow
def test_site_has_a_page_for_each_notebook_and_guide(site):
    pages = set(_find_pages(site))
    notebooks = [*REPOSITORY.glob("notebooks/[0-9]*.ipynb"), *REPOSITORY.glob("notebooks/solutions/*.ipynb")]
    for path in [*notebooks, *REPOSITORY.glob("docs/*.md"), REPOSITORY / "data" / "README.md"]:
        assert path.relative_to(REPOSITORY).with_suffix(".html").as_posix() in pages
    assert "(contamination" in re.sub("<[^>]+>", "", (site / "api" / "anomaly.html").read_text(encoding="utf-8"))
    assert {"index.html", "glossary.html", "sources.html", "api/metrics.html", "search.html"} <= pages


@pytest.mark.slow
def test_lesson_links_to_its_download_to_its_copies_and_to_its_neighbours(site):
    lessons = course.find_lessons()
    for i, lesson in enumerate(lessons):
        page = (site / "notebooks" / lesson.path.with_suffix(".html").name).read_text(encoding="utf-8")
        assert f'href="../_sources/notebooks/{lesson.path.name}" download' in page
        assert f"colab.research.google.com/github/me/course/blob/gh-pages/colab/{lesson.path.name}" in page
        assert f"mybinder.org/v2/gh/me/course/main?labpath=notebooks/{lesson.path.name}" in page
        download = json.loads((site / "_sources" / "notebooks" / lesson.path.name).read_text(encoding="utf-8"))
        assert len(download["cells"]) == len(json.loads(lesson.path.read_text(encoding="utf-8"))["cells"])
        assert (site / "colab" / lesson.path.name).exists()
        if i:
            assert re.search(rf'class="prev-page" href="{lessons[i - 1].path.stem}.html"', page)


@pytest.mark.slow
def test_no_link_inside_is_dead_and_nothing_is_loaded_from_elsewhere(site):
    ids, dead = {}, []
    texts = {page: (site / page).read_text(encoding="utf-8") for page in _find_pages(site)}
    for page, text in texts.items():
        ids[page] = set(re.findall(r'\bid="([^"]+)"', text))
        assert not re.findall(r'<(?:script|img|iframe)[^>]*\bsrc="(?:https?:)?//', text), page
        assert not re.findall(r'<link[^>]*rel="(?:stylesheet|preload|icon)"[^>]*href="(?:https?:)?//', text), page
    for page, text in texts.items():
        for address in re.findall(r'\b(?:href|src)="([^"]*)"', text):
            address = urllib.parse.unquote(html.unescape(address))
            if re.match(r"[a-z]+:|//", address):
                continue
            path, _, anchor = address.partition("#")
            path = path.partition("?")[0]
            target = os.path.normpath(Path(page).parent / path) if path else page
            if not (site / target).is_file() or anchor and target in ids and anchor not in ids[target]:
                dead.append(f"{page}: {address}")
    assert not dead


# ---- in a browser


@pytest.fixture(scope="module")
def browser():
    missing = "NOT RUN: the site was not opened in a browser; install Chromium (apt-get install chromium) and `make site`"
    if BROWSER is None and os.environ.get("SITE_BROWSER") != "required":
        pytest.skip(missing)
    playwright = pytest.importorskip("playwright.sync_api", reason=missing)
    with playwright.sync_playwright() as runner:
        chromium = runner.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, site):
    contexts = []

    def open_page(address, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else page.errors.append(request.url),
        )
        page.goto(f"{site.as_uri()}/{address}")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.slow
def test_every_page_opens_without_an_error_and_fits_its_window(open_page, site):
    wrong = []
    for address in _find_pages(site):
        page = open_page(address)
        page.wait_for_load_state("networkidle")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = page.evaluate("document.documentElement.scrollWidth")
                if found > width:
                    wrong.append(f"{address}: {found} wide at {width}, {scheme}")
        wrong += [f"{address}: {error}" for error in page.errors]
        page.context.close()
    assert not wrong


@pytest.mark.slow
def test_formulas_are_drawn(open_page):
    page = open_page("notebooks/01_basic_autoencoder.html")
    page.wait_for_selector("mjx-container svg")
    assert page.locator("mjx-container svg").count() > 5


@pytest.mark.slow
@pytest.mark.parametrize("word, address", [("bicubic", "notebooks/03_"), ("재현율", "notebooks/04_"), ("재현율", "glossary")])
def test_search_finds(open_page, word, address):
    page = open_page("index.html")
    page.locator("input.sidebar-search").fill(word)
    page.keyboard.press("Enter")
    page.wait_for_selector(f'#search-results a[href*="{address}"]')
    assert not page.errors


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address", ["index.html", "notebooks/01_basic_autoencoder.html", "glossary.html", *(f"touch/{name}.html" for name in TOUCH)]
)
def test_everybody_can_use_the_page(open_page, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(address, color_scheme=scheme)
    page.wait_for_load_state("networkidle")
    violations = axe.Axe().run(page).response["violations"]
    serious = [
        (violation["id"], [node["html"][:120] for node in violation["nodes"][:3]])
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]
    assert not serious


# ---- pages to touch


def _agrees(found, expected):
    return np.max(np.abs(np.asarray(found, dtype=float) - np.asarray(expected, dtype=float))) < 1e-3


def _read_canvases(page):
    return page.evaluate("[...document.querySelectorAll('.touch canvas')].map((canvas) => canvas.toDataURL())")


@pytest.mark.slow
@pytest.mark.parametrize("name", TOUCH)
def test_without_javascript_a_picture_stands_there(open_page, name):
    page = open_page(f"touch/{name}.html", java_script_enabled=False)
    assert page.locator(".touch img").is_visible() and page.locator(".touch canvas").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TOUCH)
@pytest.mark.parametrize("key", ["ArrowRight", "Home"])
def test_page_answers_to_the_keyboard(open_page, name, key):
    page = open_page(f"touch/{name}.html")
    before = page.locator(".touch").inner_text(), _read_canvases(page)
    page.locator(".touch input[type=range]").first.focus()
    for _ in range(30):
        page.keyboard.press(key)
    assert (page.locator(".touch").inner_text(), _read_canvases(page)) != before
    assert not page.errors


@pytest.mark.slow
@pytest.mark.parametrize("name", TOUCH)
def test_page_answers_to_the_mouse_and_to_a_finger(open_page, name):
    for touch in (False, True):
        page = open_page(f"touch/{name}.html", width=390 if touch else 1280, has_touch=touch)
        target = page.locator(
            {"code": ".touch-map", "vae": ".touch-map", "threshold": ".touch-histogram"}.get(name, ".touch input[type=range]")
        ).first
        target.scroll_into_view_if_needed()
        before = page.locator(".touch").inner_text(), _read_canvases(page)
        box = target.bounding_box()
        x, y = box["x"] + 0.85 * box["width"], box["y"] + 0.4 * box["height"]
        page.touchscreen.tap(x, y) if touch else page.mouse.click(x, y)
        page.wait_for_timeout(100)
        assert (page.locator(".touch").inner_text(), _read_canvases(page)) != before, "finger" if touch else "mouse"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["code", "vae"])
def test_dragging_the_point_decodes_what_keras_decodes(open_page, name):
    data = export_weights.read(name)
    page = open_page(f"touch/{name}.html")
    for probe, expected in zip(data["probes"], data["expected"]):
        assert _agrees(page.evaluate("(code) => touch.decode(code)", probe)[::7], expected)
    box = page.locator(".touch-map").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    places = []
    for step in (80, 160, 240):
        page.mouse.move(box["x"] + step, box["y"] + step)
        places.append(page.evaluate("touch.code()"))
    page.mouse.up()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    assert len({tuple(place) for place in places}) == 3 and page.evaluate("touch.code()") == places[-1]
    page.locator(".touch-map").focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate("touch.code()")[1] > places[-1][1]


@pytest.mark.slow
def test_threshold_gives_the_rates_that_numpy_gives(open_page):
    data = export_weights.read("threshold")
    scores, is_anomaly = export_weights.unpack(data["scores"]), np.array(list(data["is_anomaly"])) == "1"
    page = open_page("touch/threshold.html")
    assert _agrees(page.evaluate("touch.auroc"), data["auroc"])
    for threshold in np.quantile(scores, [0.1, 0.4, 0.9]):
        false_alarms, recall = np.mean(scores[~is_anomaly] > threshold), np.mean(scores[is_anomaly] > threshold)
        figures = page.evaluate("(threshold) => touch.judge(threshold, 0.1)", float(threshold))
        assert _agrees([figures["falseAlarms"], figures["recall"]], [false_alarms, recall])
        assert _agrees(figures["precision"], 0.1 * recall / (0.1 * recall + 0.9 * false_alarms))


@pytest.mark.slow
def test_projection_is_that_of_pca_and_a_number_can_be_typed(open_page):
    data = export_weights.read("units")
    page = open_page("touch/units.html")
    for i, expected in enumerate(data["expected"]):
        assert _agrees(page.evaluate("(i) => touch.project(i, 10)", i)[::7], expected)
    page.locator("input[type=number]").fill("33")
    assert page.evaluate("touch.units()") == 33
    assert (
        "PCA, 33 units" in page.locator(".touch-table").inner_text()
        and "autoencoder, 32 units" in page.locator(".touch-table").inner_text()
    )
    page.locator("input[type=number]").fill("900")
    assert page.evaluate("touch.units()") == 33


@pytest.mark.slow
def test_restored_images_are_those_of_keras(open_page):
    data = export_weights.read("noise")
    page = open_page("touch/noise.html")
    for i, expected in enumerate(data["expected"]):
        assert _agrees(page.evaluate("(i) => touch.restore(touch.image(i))", i)[::7], expected)
