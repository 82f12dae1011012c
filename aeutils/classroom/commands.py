"""The commands ``assignments`` and ``grade`` of ``python -m aeutils``, for teachers."""

import sys
from pathlib import Path

from aeutils.errors import UserError
from aeutils.running.commands import stoppable


def add_to(subparsers):
    """Add the commands to an argument parser; each sets ``run_command``, a function of the parsed arguments."""
    private = {"type": Path, "metavar": "DIR", "help": "folder of your own source assignments (default: notebooks/assignments)"}

    assignments = subparsers.add_parser("assignments", help="for teachers: make student versions, a zip each, with nbgrader")
    assignments.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="number such as 01 (default: all)")
    out_help = "course folder of nbgrader (default: %(default)s)"
    assignments.add_argument("--out", type=Path, default=Path("runs/assignments"), metavar="DIR", help=out_help)
    assignments.add_argument("--sources", **private)
    assignments.set_defaults(run_command=make_assignments)

    grade = subparsers.add_parser(
        "grade",
        help="for teachers: grade a folder of submissions with nbgrader, contained; the same command again grades what changed",
    )
    grade.add_argument("submissions", type=Path, metavar="DIR", help="folder with one notebook a student, ID.ipynb")
    grade.add_argument("--assignment", default="01", metavar="ASSIGNMENT", help="number of the assignment (default: %(default)s)")
    out_help = "folder for grades and feedback (default: runs/grades/ASSIGNMENT)"
    grade.add_argument("--out", type=Path, default=None, metavar="DIR", help=out_help)
    grade.add_argument("--workers", type=int, default=2, metavar="N", help="submissions at a time (default: %(default)s)")
    timeout_help = "for one submission, all together (default: %(default)s)"
    grade.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help=timeout_help)
    grade.add_argument("--sources", **private)
    retry_help = "try again what could not be graded or reached a time limit, even if it has not changed"
    grade.add_argument("--retry", action="store_true", help=retry_help)
    uncontained_help = "grade even if bubblewrap does not work; only limits then apply to students' code (see docs/teaching.md)"
    grade.add_argument("--uncontained", action="store_true", help=uncontained_help)
    grade.set_defaults(run_command=grade_submissions)


def make_assignments(arguments):
    """Make student versions and zips."""
    try:
        from aeutils.classroom import course

        for path in course.make_assignments(course.find_assignments(arguments.assignments, arguments.sources), arguments.out):
            print(path)
    except (ImportError, UserError, OSError) as error:
        print(f"Not everything was made: {_explain(error)}", file=sys.stderr)
        return 2
    return 0


def grade_submissions(arguments):
    """Grade a folder of submissions."""
    from aeutils.classroom import course, grading, sandbox

    try:
        if arguments.workers < 1:
            raise grading.GradingError(f"--workers: expected 1 or more, got {arguments.workers}")
        if sandbox.find_kind() == "plain" and not arguments.uncontained:
            raise sandbox.ContainmentError(
                f"students' code could read, change and send whatever you can: {sandbox.explain_plain()}. Install bubblewrap "
                "(apt install bubblewrap) or allow it user namespaces, grade in a virtual machine, or add --uncontained"
            )
        (assignment,) = course.find_assignments([arguments.assignment], arguments.sources)
        out = arguments.out or Path("runs/grades") / assignment.name
        with stoppable():
            counts = _follow_grading(assignment, out, arguments)
    except KeyboardInterrupt:
        print("\nStopped; what is graded is kept. The same command goes on from there.", file=sys.stderr)
        return 130
    except (ImportError, UserError, OSError) as error:
        print(f"Stopped: {_explain(error)}", file=sys.stderr)
        return 2
    print(", ".join(f"{number} {what}" for what, number in counts.items()))
    print(f"Grades: {out / grading.GRADES}\nPages for students: {out / 'feedback'}")
    if counts["not graded"]:
        print(f"Not graded, and why: {out / grading.REFUSED}")
    if (out / grading.WRITTEN).exists():
        print(f"Answers to read: put points into {out / grading.WRITTEN} and give the same command again")
    return 0


def _follow_grading(assignment, out, arguments):
    """Grade with a progress bar and return how many submissions were graded, kept, and not graded."""
    from aeutils.classroom import grading, sandbox
    from aeutils.progress import Progress

    folder = arguments.submissions
    if not folder.is_dir():
        raise grading.GradingError(f"{folder} is not a folder; expected one with submissions such as s2026-001.ipynb")
    n = sum(not path.name.startswith(".") for path in folder.iterdir())
    print(f"{assignment.name}: {n} in {folder}; containment: {sandbox.find_kind()}", flush=True)
    watch = grading.Watch(seconds=arguments.timeout)
    counts = {"graded": 0, "kept": 0, "not graded": 0}
    bar = Progress(n, "Grading", "submission")
    try:
        for outcome in grading.grade_folder(folder, assignment, out, arguments.workers, watch, arguments.retry):
            if outcome.result is None:
                counts["not graded"] += 1
                bar.write(f"{outcome.name}: NOT GRADED, {outcome.refused}")
            elif outcome.fresh:
                counts["graded"] += 1
                points, possible = outcome.points
                bar.write(f"{outcome.name}: {points:g} of {possible:g} points in {outcome.seconds:.0f} s")
            else:
                counts["kept"] += 1
            bar.update()
    finally:
        bar.close()
    return counts


def _explain(error):
    if isinstance(error, ImportError):
        return f"{error}; assignments need nbgrader: python -m pip install -c constraints.txt -e '.[classroom]'"
    return str(error)
