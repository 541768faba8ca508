"""What a task writes into its checkpoints, and refuses to read from them."""

import inspect
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn

from .contract import CONTRACT_KEY, find_conflict, versions
from .optimizers import describe_schedule


class ContractInCheckpoint(LightningModule):
    """A task whose checkpoints say what it reads and what its answers mean."""

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
        # The trained weights are here: loading them shall not fetch the initial ones.
        kept['weights'] = None
        path = f'{type(self).__module__}.{type(self).__qualname__}'
        checkpoint['hyper_parameters'] = kept | {'_class_path': path}
        notes = {'versions': versions(), 'resume': self._resume_facts()}
        checkpoint[CONTRACT_KEY] = self.contract | notes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another network, and another optimiser for resuming."""
        theirs = dict(checkpoint.get(CONTRACT_KEY, {}))
        resume = theirs.pop('resume', {})
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

    def _resume_facts(self) -> dict[str, Any]:
        frozen = ('freeze_backbone', 'freeze_decoder')
        plan = describe_schedule(self.configure_optimizers())
        return {name: self.hparams[name] for name in frozen} | plan


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
