"""Checks of exercises. They print a message and never stop the notebook with an error."""


def check(exercise, condition, hint):
    """Print whether an exercise is solved.

    Parameters
    ----------
    exercise : str
        Name of the exercise, for example ``"Exercise 1"``.
    condition : callable
        Function without arguments that returns true if the answer is right. If it raises an exception, the exercise
        counts as not solved and the exception is printed (unless the answer still seems to be ``...`` or None).
    hint : str
        Printed if the answer is not right.

    Examples
    --------
    >>> check("Exercise 1", lambda: 1 + 1 == 2, hint="add the numbers")
    Exercise 1: solved
    >>> check("Exercise 2", lambda: 1 + 1 == 3, hint="add the numbers")
    Exercise 2: not solved yet. Hint: add the numbers
    """
    try:
        solved = bool(condition())
    except Exception as error:  # a student's code may raise anything
        unanswered = isinstance(error, (TypeError, AttributeError)) and any(
            word in str(error) for word in ("ellipsis", "NoneType")
        )
        raised = "" if unanswered else f" ({type(error).__name__}: {error})"
        print(f"{exercise}: not solved yet{raised}. Hint: {hint}")
        return
    print(f"{exercise}: solved" if solved else f"{exercise}: not solved yet. Hint: {hint}")
