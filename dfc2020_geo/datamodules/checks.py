"""Findings of checks, as datamodules tell them: errors stop, others warn."""

from collections.abc import Iterable
from typing import Any, get_args

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from ..bands import NanPolicy
from ..classes import ClassScheme
from ..io.run_record import record_findings
from ..io.value_checks import CheckMode, Fills, Finding, Flags, SetSample, check_set


def require_choice[Choice: str](choice: Choice, choices: Any, name: str) -> Choice:
    """Check that a setting is one of its choices.

    Args:
        choice: What was chosen.
        choices: Literal type of the choices.
        name: Name of the setting.

    Returns:
        The choice.

    Raises:
        ValueError: If there is no such choice.
    """
    if choice not in get_args(choices):
        raise ValueError(
            f"Expected {name} to be one of {get_args(choices)}, got '{choice}'."
        )
    return choice


def takes_fills(mode: CheckMode, nan: NanPolicy) -> bool:
    """Tell whether undeclared fill is taken for no data.

    Args:
        mode: What the check does.
        nan: What becomes of no data; in the 2020 baseline, the brightest value.

    Returns:
        False where a check tells alone, or 2020's values are to be kept.
    """
    return mode == 'error' and nan != 'baseline'


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


class SetChecks:
    """The check of the sets of a stage, before its work begins.

    Attributes:
        results: What was found in each set, by its split, as plain values.
    """

    def __init__(self, mode: CheckMode, nan: NanPolicy, flags: Flags) -> None:
        """Initialize a new SetChecks instance.

        Args:
            mode: What findings do.
            nan: What becomes of no data.
            flags: The flags by which a user can say what numbers mean.
        """
        self.mode, self.nan, self.flags = mode, nan, flags
        self.results: dict[str, dict[str, Any]] = {}

    def check(self, split: str, sample: SetSample, scheme: ClassScheme) -> Fills:
        """Check a sample of a set, and say what was found.

        Args:
            split: The split, and its set, for messages.
            sample: The sample.
            scheme: The class scheme of its masks.

        Returns:
            Undeclared numbers that are to be read as no data.

        Raises:
            ValueError: If no result can be right.
        """
        is_taken = takes_fills(self.mode, self.nan)
        checked = check_set(sample, scheme, self.flags, is_taken)
        self.results[split] = {
            'findings': [finding.to_json() for finding in checked.findings],
            'classes': checked.classes,
            'sample': sample.size,
        }
        if checked.classes:
            shares = [f'{name} {share:.1%}' for name, share in checked.classes.items()]
            rank_zero_info(
                f'{split}: labels of {sample.size}, legend {sample.legend}: '
                f'{", ".join(shares)}'
            )
        tell_findings(checked.findings, self.mode, split)
        return checked.fills if is_taken else {}

    def record(self, trainer: Trainer | None, stage: str) -> None:
        """Write what was found to the record in the run's log directory.

        Args:
            trainer: The trainer of the run, if there is one.
            stage: The stage.
        """
        if trainer is None or not trainer.loggers or stage == 'predict':
            return
        # Every process must read log_dir, since it is broadcast from the first.
        directory = trainer.log_dir
        if directory and self.results and trainer.is_global_zero:
            record_findings(directory, stage, self.results)
