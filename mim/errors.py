"""The one error that users are meant to read."""


class InputError(Exception):
    """Input or settings that cannot work. One line that names the file or key, what is wrong and the remedy; the command line prints it alone and exits with 2."""
