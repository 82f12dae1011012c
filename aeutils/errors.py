"""The errors that a user can mend."""


class UserError(Exception):
    """Something in the input, the data or the machine that a user can change.

    The message says what was expected, what came, and what to do. The commands print it without a traceback, and so do
    notebooks: the traceback would hide the message among lines of this package.
    """

    def _render_traceback_(self):  # IPython shows these lines in place of the traceback
        return [f"{type(self).__name__}: {self}"]


class ParameterError(UserError, ValueError):
    """A parameter that the notebook does not have, or a value that does not fit it."""
