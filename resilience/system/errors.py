"""What a user can cause, apart from what is a bug."""


class UserError(ValueError):
    """Something that a user asked for does not exist, or does not go together.

    Its message is one line that says what was wrong and what to do. Commands end with that line;
    any other exception is a bug of the program and shows its traceback.
    """
