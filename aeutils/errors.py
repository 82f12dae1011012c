"""The base of all errors that a user can mend."""


class UserError(Exception):
    """Something in the input, the data or the machine that a user can change.

    The message says what was expected, what came, and what to do. The commands print it without a traceback.
    """
