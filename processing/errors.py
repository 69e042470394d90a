"""The error of this package for bad input."""


class InputError(ValueError):
    """
    Something that was given cannot be used: a file, a setting, a text, a data set.

    The message names it and says what to do. Programs show it and go on or end; any other error is a mistake of theirs.
    """


def one_line(error: Exception) -> str:
    """What an error says, for a message of one line."""
    return " ".join(str(error).split()) or type(error).__name__
