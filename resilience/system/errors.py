"""Errors that a user can cause, as opposed to bugs."""


class UserError(ValueError):
    """Something that a user asked for does not exist or is incompatible with the rest.

    Its message is one line that says what is wrong and what to do. Commands exit with that line;
    any other exception is a bug in the program and shows its traceback.
    """
