"""Build the site for reading: `make site`, or `python site/make_site.py --out runs/site`.

Pages and notebooks are copied into a folder beside the output, generated pages are added, and Sphinx builds all of it.
Nothing is executed and nothing is downloaded. Warnings are errors.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import course_pages as course

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
# owner/name on GitHub. The workflow sets it; without it, the links to Colab, Binder and single files are left out.
REPOSITORY = os.environ.get("SITE_REPOSITORY", "")
PAGES = ["docs/*.md", "benchmarks/README.md", "data/README.md", "notebooks/[0-9][0-9]_*.ipynb", "notebooks/solutions/*.ipynb"]
FILES = ["benchmarks/pictures/*", "notebooks/pictures/*"]  # and the pictures in site/pages
INSTALL_ON_COLAB = "%pip install -q --no-deps pooch git+https://github.com/{repository}  # Colab has the rest"


def stage(source):
    """Fill the folder `source` with everything that Sphinx reads; files that did not change keep their times."""
    wanted = {}
    for pattern in [*PAGES, *FILES]:
        for path in ROOT.glob(pattern):
            wanted[path.relative_to(ROOT).as_posix()] = path
    for path in (SITE / "pages").rglob("*.png"):
        wanted[path.relative_to(SITE / "pages").as_posix()] = path
    pages = {name for name in wanted if name.endswith((".md", ".ipynb"))}
    texts = write_pages()
    for name in list(wanted):
        if name in pages:
            texts[name] = mend_links(wanted.pop(name).read_text(encoding="utf-8"), name, pages | set(wanted))
    for name, text in texts.items():
        _write_if_new(source / name, text.encode())
    for name, path in wanted.items():
        _write_if_new(source / name, path.read_bytes())
    for path in [path for path in source.rglob("*") if path.is_file()]:
        if path.relative_to(source).as_posix() not in {*texts, *wanted}:
            path.unlink()


def _write_if_new(path, content):
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_pages():
    """Return the pages that stand in `site/pages`, with what is read from the lessons filled in, and the generated ones."""
    lessons = course.find_lessons()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    filled = {
        "cards": lambda: course.write_cards(lessons, readme),
        "glossary": lambda: course.write_glossary(lessons),
        "sources": lambda: course.write_sources(lessons),
        "running": lambda: course.read_section(readme, "Run with other parameters"),
        "helpers": lambda: "\n".join(f"api/{name}" for name in course.find_helpers()),
    }
    pages = {}
    for path in (SITE / "pages").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"^<!-- (\w+) -->$", lambda found: filled[found[1]](), text, flags=re.M)
        pages[path.relative_to(SITE / "pages").as_posix()] = text
    for name in course.find_helpers():
        pages[f"api/{name}.md"] = f"# aeutils.{name}\n\n```{{eval-rst}}\n.. automodule:: aeutils.{name}\n   :members:\n```\n"
    return pages


def mend_links(text, name, staged):
    """Send links to README to the first page, and links to files that are no page of the site to the repository."""
    folder = Path(name).parent

    def mend(found):
        target, _, _ = found[2].partition("#")
        if not target or re.match(r"\w+:", target):
            return found[0]
        resolved = os.path.normpath(folder / target).replace(os.sep, "/")
        if resolved == "README.md":
            return f"[{found[1]}]({os.path.relpath('index.md', folder)})"
        if resolved in staged or not (ROOT / resolved).exists():
            return found[0]
        return f"[{found[1]}](https://github.com/{REPOSITORY}/blob/main/{resolved})" if REPOSITORY else found[1]

    return re.sub(r"(?<!!)\[([^\]\n]*)\]\(([^)\s]+)\)", mend, text)


def write_colab_copies(out):
    """Write copies of the lessons whose first code cell installs, on Colab, what Colab lacks."""
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        install = {"cell_type": "code", "id": "install-on-colab", "metadata": {}, "execution_count": None, "outputs": []}
        install["source"] = INSTALL_ON_COLAB.format(repository=REPOSITORY)
        notebook["cells"].insert(1, install)
        address = f"https://raw.githubusercontent.com/{REPOSITORY}/main/notebooks/pictures/"
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = "".join(cell["source"]).replace("](pictures/", f"]({address}")
        _write_if_new(out / "colab" / path.name, (json.dumps(notebook, ensure_ascii=False, indent=1) + "\n").encode())


def find_mathjax():
    """Return the one file of MathJax that draws LaTeX as SVG, from the installed package."""
    files = importlib.metadata.files("sphinx-mathjax-offline") or []
    return next(Path(file.locate()) for file in files if file.name == "tex-svg.js")


def main(arguments=None):
    """Build the site and print its size and the seconds it took."""
    from sphinx.cmd.build import build_main

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "site", help="folder of the finished site")
    out = parser.parse_args(arguments).out.resolve()
    work = out.with_name(f".{out.name}-build")
    start = time.perf_counter()
    if (out / ".buildinfo").exists():  # made by Sphinx: pages of lessons that are gone must not stay
        shutil.rmtree(out)
    stage(work / "source")
    _write_if_new(work / "static" / "mathjax" / "tex-svg.js", find_mathjax().read_bytes())
    options = ["-q", "-W", "--keep-going", "-j", "auto", "-c", str(SITE), "-d", str(work / "doctrees")]
    os.environ["SITE_WORK"] = str(work)
    code = build_main([*options, str(work / "source"), str(out)])
    if code:
        return code
    if REPOSITORY:
        write_colab_copies(out)
    else:
        print("SITE_REPOSITORY=owner/name is not set: pages without links to Colab, Binder and the repository")
    (out / ".nojekyll").touch()
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out / 'index.html'}: {size / 1e6:.1f} MB, {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
