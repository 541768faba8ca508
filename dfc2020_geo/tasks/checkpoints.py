"""What a task writes into its checkpoints, and refuses to read from them."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn

from ..models.contract import CONTRACT_KEY, find_conflict, public_path, versions
from .acceleration import SWITCHES
from .optimizers import describe_schedule


class ContractInCheckpoint(LightningModule):
    """A task whose checkpoints say what it reads and what its answers mean."""

    #: Scores of before training was stopped, until they are back in their place.
    _scores: Mapping[str, float] = MappingProxyType({})

    #: Whether schedulers have not looked at those of the last epoch yet.
    _is_due = False

    @property
    def contract(self) -> dict[str, Any]:
        """The facts that a checkpoint of this task fixes, as plain values."""
        raise NotImplementedError

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the arguments of this class alone, as plain values, and the facts.

        Both LightningCLI and torchgeo's hand each saved hyperparameter to the
        constructor and read the checkpoint with ``weights_only``.
        """
        arguments = inspect.signature(type(self).__init__).parameters
        kept = {
            name: _plain(value)
            for name, value in checkpoint['hyper_parameters'].items()
            if name == '_instantiator' or (name in arguments and not callable(value))
        }
        for name in SWITCHES:
            kept.pop(name, None)
        # The trained weights are here: loading them shall not fetch the initial ones.
        kept['weights'] = None
        named = {'_class_path': public_path(type(self))}
        checkpoint['hyper_parameters'] = kept | named
        notes = {
            'versions': versions(),
            'resume': self._resume_facts(),
            'scores': self._watched_scores(),
        }
        checkpoint[CONTRACT_KEY] = self.contract | notes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another network, and another optimiser for resuming."""
        theirs = dict(checkpoint.get(CONTRACT_KEY, {}))
        resume, scores = theirs.pop('resume', {}), theirs.pop('scores', {})
        if conflict := find_conflict(self.contract, theirs):
            name, value, other = conflict
            raise ValueError(
                f'Expected {name}={other} as in the checkpoint, got {value}; '
                'leave it out, or train another network.'
            )
        trainer = self._trainer
        if trainer is None or trainer.state.fn != TrainerFn.FITTING:
            return
        if conflict := find_conflict(self._resume_facts(), resume):
            name, value, other = conflict
            raise ValueError(
                f'Expected {name}={other} as in the checkpoint, got {value}: resuming '
                'restores the optimiser and its schedule; leave the change out to go '
                'on, or train anew without --ckpt_path.'
            )
        self._scores, self._is_due = scores, _is_due(checkpoint['loops']['fit_loop'])

    def on_train_start(self) -> None:
        """Put the scores back that a scheduler may still ask for.

        One that watches a score looks at it when an epoch ends, and its validation may
        have been before training was stopped; Lightning forgets it.
        """
        self.trainer.callback_metrics.update(
            {name: torch.tensor(score) for name, score in self._scores.items()}
        )
        if self._is_due:
            self._update_schedulers()
        self._scores, self._is_due = {}, False

    def on_train_epoch_end(self) -> None:
        """Let schedulers look at the scores of an epoch that was gone on with.

        Lightning leaves that out, for it has no scores of before.
        """
        if self.trainer.fit_loop.restarting and self.trainer.is_last_batch:
            self._update_schedulers()

    def _update_schedulers(self) -> None:
        loop = self.trainer.fit_loop.epoch_loop
        loop.update_lr_schedulers('epoch', update_plateau_schedulers=True)

    def _watched_scores(self) -> dict[str, float]:
        """Return the last score of each name that a scheduler watches."""
        if self._trainer is None:
            return {}
        watched = {config.monitor for config in self._trainer.lr_scheduler_configs}
        scores = self._trainer.callback_metrics
        return {str(name): float(scores[name]) for name in watched if name in scores}

    def _resume_facts(self) -> dict[str, Any]:
        frozen = ('freeze_backbone', 'freeze_decoder')
        plan = describe_schedule(self.configure_optimizers())
        return {name: self.hparams[name] for name in frozen} | plan


def _is_due(loop: Mapping[str, Any]) -> bool:
    """Say whether a checkpoint is of the end of an epoch, as most are.

    Those are written before schedulers look at the epoch's scores.
    """
    epochs = loop['epoch_progress']['current']
    is_over = loop['epoch_loop.batch_progress']['is_last_batch']
    return is_over and epochs['processed'] > epochs['completed']


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
