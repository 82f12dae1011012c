"""Assignments for a class: own parameters for every student, student versions, and grading.

``students``: what the assignments import. ``course``: student versions and zips. ``grading``: a folder of submissions.
``autograder``: one submission. ``sandbox`` and ``provisioner``: students' code runs contained. ``commands``: the command line.
"""

from aeutils.classroom.students import draw_parameters

__all__ = ["draw_parameters"]
