"""What the site says about the lessons, read from the notebooks and from README's table: nothing is written twice.

All functions return Markdown (MyST). Lessons are found by their names, `notebooks/NN_topic.ipynb`.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KOREAN = re.compile(r"[\uac00-\ud7a3]")


@dataclass
class Lesson:
    """One notebook: the texts of its Markdown cells, and the parts of its opening."""

    path: Path
    texts: list = field(repr=False)

    @property
    def number(self):
        return self.path.name[:2]

    @property
    def title(self):
        return re.search(r"^# (.+)$", self.texts[0], re.M)[1].strip()

    @property
    def question(self):
        found = re.search(r"^\*\*(.+\?)\*\*$", self.texts[0], re.M)
        return found[1] if found else ""

    @property
    def picture(self):
        """Alternative text and address of the first picture, or None."""
        found = re.search(r"!\[([^\]]*)\]\(([^)]+)\)", self.texts[0])
        return found.groups() if found else None


def read_lesson(path):
    """Read a notebook's Markdown cells."""
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    return Lesson(Path(path), ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"])


def find_lessons(folder=ROOT / "notebooks"):
    """Return the lessons in the order of their numbers."""
    return [read_lesson(path) for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))]


def read_table(readme):
    """Return the rows of README's table of lessons: from a notebook's file name to a dict of its columns."""
    lines = [line for line in readme.splitlines() if line.startswith("|")]
    start = next(i for i, line in enumerate(lines) if line.startswith("| notebook |"))
    heads, rows = _split_row(lines[start]), {}
    for line in lines[start + 2 :]:
        cells = _split_row(line)
        link = re.search(r"\(notebooks/([^)/]+\.ipynb)\)", cells[0])
        if link is None:
            break
        rows[link[1]] = dict(zip(heads, cells))
    return rows


def _split_row(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def write_cards(lessons, readme):
    """Write a card for each lesson: picture, title, question, what comes out and the minutes."""
    rows, cards = read_table(readme), []
    for lesson in lessons:
        row = rows.get(lesson.path.name, {})
        page = f"notebooks/{lesson.path.name}"
        lines = ["::::{container} card"]
        if lesson.picture:
            alt, address = lesson.picture
            lines += [f"![{alt}](notebooks/{address})", ""]
        lines += [f"**[{lesson.title}]({page})**", "", lesson.question, ""]
        for head, text in row.items():
            if head == "what comes out":
                lines += [f"*On {row['data']}:* {text}.", ""]
            if head.startswith("minutes"):
                default, _, page_run = (part.strip() for part in text.partition(";"))
                minutes = f"{default} minutes on 2 CPU cores"
                if page_run and page_run != "the same run":
                    minutes += f"; the run of its page: {page_run}"
                lines += [":::{container} minutes", minutes, ":::"]
        cards.append("\n".join([*lines, "::::"]))
    return "\n".join([":::::{container} cards", *cards, ":::::"])


# ---- glossary

# A term in bold or italic type with its Korean in brackets: **recall** (재현율), **PCA** (principal component analysis, 주성분 분석).
TERM = re.compile(r"(?<!\*)(\*\*|\*)(?!\s)(?P<term>[^*\n$]+?)\1 \((?P<inside>[^()]*[\uac00-\ud7a3][^()]*)\)")


@dataclass
class Term:
    """A term as the first lesson that explains it says it."""

    name: str
    korean: list
    definition: str
    lesson: Lesson
    section: str
    also: list


def collect_terms(lessons):
    """Return the terms of all lessons, sorted by name; the definition is that of the first lesson which has the term."""
    terms = {}
    for lesson in lessons:
        section = ""
        for text in lesson.texts:
            for block in re.split(r"\n\s*\n|\n(?=[-*|] |\d+\. |\|)", text):
                heading = re.match(r"#{2,} (.+)", block)
                if heading:
                    section = heading[1].strip()
                if block.startswith("|") or section == "Next and sources":
                    continue
                for found in TERM.finditer(block):
                    _add_term(terms, found, block, lesson, section)
    return sorted(terms.values(), key=lambda term: term.name.lower())


def _add_term(terms, found, block, lesson, section):
    name = re.sub(r"\s+", " ", found["term"]).strip()
    name = name if name[1] == " " else name[0].upper() + name[1:]
    key = _singular(name.lower())
    korean = [part.strip() for part in re.split(r"[,;]", found["inside"]) if KOREAN.search(part)]
    if key in terms:
        term = terms[key]
        term.korean += [word for word in korean if word not in term.korean]
        if lesson is not term.lesson and lesson not in term.also:
            term.also.append(lesson)
    else:
        terms[key] = Term(name, korean, _cut_definition(block, found.start()), lesson, section, [])


def _singular(name):
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(ending) and not name.endswith(("ss", "is", "us")):
            return name.removesuffix(ending) + instead
    return name


def split_sentences(text):
    """Split a paragraph after each full stop that is followed by a capital letter, a term or a formula."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z*$`(])|(?<=[.!?]\*\*)\s+", text)


def _cut_definition(block, position):
    """Return the sentence with the term; with its neighbour if it points back, or says little by itself."""
    block = re.sub(r"^#+ .*\n", lambda heading: " " * len(heading[0]), block)
    sentences, end, i = split_sentences(block), 0, -1
    while end <= position:
        i += 1
        end = block.index(sentences[i], end) + len(sentences[i])
    first = i - 1 if i and re.match(r"(This|These|Such|It|So|They|Both) ", sentences[i]) else i
    last = i + 1 if len(sentences[i]) < 75 and first == i and i + 1 < len(sentences) else i
    text = " ".join(" ".join(sentences[first : last + 1]).split())
    text = re.sub(r"^(- |\d+\. )", "", text)
    text = re.sub(r"\s*\$\$.*", "", text)  # a displayed formula stays on its page
    return re.sub(r"[:,;]$", ".", text)


def write_glossary(lessons):
    """Write the terms as a Sphinx glossary; the Korean words are in the text, so that the search finds them."""
    lines = [":::{glossary}"]
    for term in collect_terms(lessons):
        definition = re.sub(r"\]\((?!https?:|#)([^)]+)\)", r"](notebooks/\1)", term.definition)
        where = [f"[{term.lesson.number}, {term.section or 'opening'}](notebooks/{term.lesson.path.name})"]
        where += [f"[{lesson.number}](notebooks/{lesson.path.name})" for lesson in term.also]
        lines += [term.name, f"  **{', '.join(term.korean)}**", "", f"  {definition}", ""]
        lines += [f"  In {', '.join(where)}.", ""]
    return "\n".join([*lines, ":::"])


# ---- sources

YEAR = r"(?:1[89]|20)\d\d"
# Where another work begins within one item of a list: "... at its optimum. Clevert, Unterthiner, Hochreiter 2016, arXiv:..."
WORK = re.compile(
    rf"(?<=\.) (?=(?:[A-ZÀ-Þ][\w'’-]*|van der|Dupré la|and others|von|de|la|The same)(?:[ ,]+[\w'’-]+){{0,14}},? {YEAR},)"
)


@dataclass
class Source:
    """One work, and the lessons that name it, each with its remark."""

    citation: str
    uses: list


def collect_sources(lessons):
    """Return the works that the lessons name at their ends, sorted by author and year."""
    sources = {}
    for lesson in lessons:
        for item in _read_items(lesson):
            authors = ""
            for work in WORK.split(item):
                if work.startswith("The same "):
                    work = authors + work.removeprefix("The same")
                citation, remark = _split_remark(work)
                authors = re.split(rf",? {YEAR}", citation)[0]
                same = sources.setdefault((authors, *re.findall(YEAR, citation)[:1]), [])
                source = next((source for source in same if _is_same(source.citation, citation)), None)
                if source is None:
                    source = Source(citation, [])
                    same.append(source)
                if len(citation) > len(source.citation):
                    source.citation = citation
                source.uses.append((lesson, remark))
    return sorted((source for same in sources.values() for source in same), key=lambda source: source.citation.lower())


def _is_same(*citations):
    """Two works of one year by the same authors are one if the titles begin alike, or if one mention gives no title."""
    titles = [re.search(r"\*([^*]+)\*", citation) for citation in citations]
    first, second = (title and re.findall(r"\w+", title[1].lower())[:3] for title in titles)
    return first is None or second is None or first == second


def _read_items(lesson):
    text = lesson.texts[-1] if "## Next and sources" in lesson.texts[-1] else ""
    for item in re.split(r"^- ", text, flags=re.M)[1:]:
        yield " ".join(item.split("\n\n")[0].split())


def _split_remark(work):
    """Split "Kingma, Ba 2015, arXiv:1412.6980: Adam." at the colon that stands outside titles and links."""
    outside = re.sub(r"\*[^*]*\*|\[[^\]]*\](\((?:[^()]|\([^()]*\))*\))?", lambda found: "x" * len(found[0]), work)
    found = re.search(r"(?<!arXiv)(?<!doi): ", outside)
    citation, remark = (work[: found.start()], work[found.end() :]) if found else (work, "")
    return citation.strip().rstrip("."), remark.strip().rstrip(".")


def write_sources(lessons):
    """Write one list of all works, each with the lessons that name it and what for."""
    lines = []
    for source in collect_sources(lessons):
        uses = []
        for lesson, remark in source.uses:
            link = f"[{lesson.number}](notebooks/{lesson.path.name})"
            uses.append(f"{link}: {remark}" if remark else link)
        lines.append(f"- {_link_arxiv(source.citation)}. *Named in* {'; '.join(uses)}.")
    return "\n".join(lines)


def _link_arxiv(text):
    return re.sub(r"(?<![\w/(])arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def find_helpers(folder=ROOT / "notebooks"):
    """Return the modules of `aeutils` that the notebooks import, in alphabetical order."""
    names = {"datasets"}
    for path in Path(folder).rglob("[0-9][0-9]_*.ipynb"):
        if "assignments" not in path.parts:
            names.update(re.findall(r"from aeutils\.(\w+) import", path.read_text(encoding="utf-8")))
    return sorted(names)


def read_section(text, heading):
    """Return a section of a Markdown page without its heading."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found[1].strip() if found else ""
