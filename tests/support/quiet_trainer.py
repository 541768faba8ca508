"""A trainer that trains one epoch, and neither writes nor says anything."""

from typing import Any

QUIET: dict[str, Any] = {
    'accelerator': 'cpu',
    'max_epochs': 1,
    'logger': False,
    'enable_checkpointing': False,
    'enable_progress_bar': False,
    'enable_model_summary': False,
}
