"""Assignments for a class: own parameters for every student, student versions, and grading.

``students``: what the assignments import. ``course``: student versions and zips. ``grading``: a folder of submissions.
``autograder``: one submission. ``judge``: its tests, apart from the student's code; ``exchange``, ``answers`` and ``replicas``:
how the two talk. ``sandbox``, ``provisioner``, ``watch`` and ``cgroups``: students' code runs contained. ``feedback``: pages for
students. ``commands``: the command line.
"""

from aeutils.classroom.students import draw_parameters, inside

__all__ = ["draw_parameters", "inside"]
