"""Findings of checks, as datamodules tell them: errors stop, others warn."""

from collections.abc import Iterable
from typing import cast, get_args

from lightning.pytorch.utilities import rank_zero_warn

from ..io.value_checks import CheckMode, Finding


def require_check(mode: str) -> CheckMode:
    """Check that there is a mode of checking of a name.

    Args:
        mode: Name of the mode.

    Returns:
        The name.

    Raises:
        ValueError: If there is no such mode.
    """
    if mode not in get_args(CheckMode):
        raise ValueError(
            f"Expected check to be one of {get_args(CheckMode)}, got '{mode}'."
        )
    return cast(CheckMode, mode)


def tell_findings(findings: Iterable[Finding], mode: CheckMode, name: str) -> None:
    """Warn of what a check has found, or stop.

    Args:
        findings: What was found.
        mode: Whether errors stop.
        name: What was checked, for messages.

    Raises:
        ValueError: If there is an error, and *mode* is ``'error'``.
    """
    errors = []
    for finding in findings:
        if mode == 'error' and finding.level == 'error':
            errors.append(f'{name}: {finding}')
        else:
            rank_zero_warn(f'{name}: {finding}')
    if errors:
        raise ValueError(
            f'{" ".join(errors)} (--check warn, --data.check warn, goes on all the same.)'
        )
