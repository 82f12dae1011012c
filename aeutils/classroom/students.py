"""What the assignments import: parameters drawn from the id of a student, and a mark for their tests."""

import hashlib
import os
import re

STUDENT_VARIABLE = "AEUTILS_STUDENT"  # set while grading; overrides the id in the notebook
STUDENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def draw_parameters(student_id, **choices):
    """Draw the parameters of one student. The same id gets the same values on every machine; other ids get others.

    While grading, the environment variable ``AEUTILS_STUDENT`` is set. Then `student_id` is ignored.

    Parameters
    ----------
    student_id : str
    **choices : sequence
        The possible values of each parameter, such as ``digit=range(10)``.

    Returns
    -------
    dict
        One value for each name in `choices`. It does not depend on the other names.

    Raises
    ------
    ValueError
        No id, or no possible values.

    Examples
    --------
    >>> draw_parameters("example", digit=range(10), latent_dim=[8, 12, 16])
    {'digit': 4, 'latent_dim': 16}
    """
    student = os.environ.get(STUDENT_VARIABLE) or student_id
    if not isinstance(student, str) or not student.strip():
        raise ValueError(f'student_id is {student_id!r}; write your own into the first cell, such as student_id = "s2026-001"')
    drawn = {}
    for name, values in choices.items():
        if len(values) == 0:
            raise ValueError(f"parameter {name}: there is nothing to choose from")
        digest = hashlib.sha256(f"{student.strip()}/{name}".encode()).digest()
        drawn[name] = values[int.from_bytes(digest[:8], "big") % len(values)]
    return drawn


def send_inside(function):
    """Send a function to where the student's code runs; the judge puts its own in this place. In a notebook it is there."""
    return function


def inside(function):
    """Mark a function of a test that has to run where the student's code runs: it trains, saves or derives what is there.

    In a notebook nothing changes. While grading, tests run in another process than the student's code
    (`aeutils.classroom.judge`), and a function with this mark is sent to it. It sees the variables of the notebook, but none of
    the test's; its arguments and results have to be numbers, texts, arrays or models of Keras.

    Examples
    --------
    >>> @inside
    ... def add(a, b):
    ...     return a + b
    >>> add(1, 2)
    3
    """
    return send_inside(function)
