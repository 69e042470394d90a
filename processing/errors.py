"""The error of this package for bad input."""


class InputError(ValueError):
    """
    Something that was given cannot be used: a file, a setting, a text, a data set.

    The message names it and says what to do. Programs show it and go on or end; any other error is a mistake of theirs.
    """
