"""Command lines that are not understood: one line, and exit status 2."""

import argparse
from typing import Any, NoReturn


class UsageError(ValueError):
    """A command line with flags that are unknown, missing or contradict each other."""


class VerbParser(argparse.ArgumentParser):
    """An argparse parser of one verb that raises, and guesses no flags."""

    def __init__(self, verb: str, **kwargs: Any) -> None:
        """Initialize a new VerbParser instance.

        Args:
            verb: Name of the verb.
            **kwargs: As of :class:`argparse.ArgumentParser`.
        """
        super().__init__(f'dfc2020-geo {verb}', allow_abbrev=False, **kwargs)

    def _parse_optional(self, arg_string: str) -> Any:
        """Take what begins with one hyphen for a value: our flags have two.

        Args:
            arg_string: A part of the command line.

        Returns:
            As argparse: None for a value.
        """
        if not arg_string.startswith('--') and arg_string not in ('-c', '-h'):
            return None
        return super()._parse_optional(arg_string)

    def error(self, message: str) -> NoReturn:
        """Refuse a command line.

        Args:
            message: What is wrong with it.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f'{message}; {self.prog} --help lists the flags.')
