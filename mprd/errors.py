"""The one exception that a user is meant to read."""


class UserError(Exception):
    """A mistake in the input that the user can mend.

    The message is one or two sentences: what is wrong, where, and how to mend it.
    The command line prints it without a traceback and exits with code 2.
    """
