"""Checks of exercises that never stop a notebook."""


def check(exercise, condition, hint):
    """Print whether an exercise is solved.

    Parameters
    ----------
    exercise : str
        Its name, for example ``"Exercise 1"``.
    condition : callable
        Takes nothing and returns true where the answer is right. A condition that raises counts as not solved,
        and what it raised is shown (unless the answer simply is still ``...``).
    hint : str
        Printed where the answer is not right.
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
