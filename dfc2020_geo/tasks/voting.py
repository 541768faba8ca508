"""What a task answers outside training: classes, or the vote of several."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from ..classes import IGNORE_INDEX
from ..metrics.argmax import best_class
from .ensemble import vote

Batch = dict[str, Tensor]


class VotingTask(LightningModule):
    """A task that may ask several networks, and several views of each image."""

    #: Whether :meth:`predict_step` returns probabilities as well; callbacks that
    #: need them set it.
    return_probabilities = False

    #: Whether :meth:`predict_step` returns logits and leaves the rest to a callback,
    #: which sets it.
    return_logits = False

    # No submodules: they are neither trained nor saved with this network.
    members: 'Sequence[VotingTask]'

    def compute_logits(self, x: Tensor) -> Tensor:
        """Compute the logits of this network alone, of images of any size.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images of any size.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``; outside training, those of the
            mean probabilities, if there is more than one view or network.
        """
        if self.training or not self._is_vote:
            return self.compute_logits(x)
        return self.vote(x)[0]

    @property
    def _is_vote(self) -> bool:
        return bool(self.hparams['tta'] or self.members)

    def vote(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits, and the share of views and networks that disagree.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``.

        Returns:
            Logits of the mean probabilities, ``(B, num_classes, H, W)``, and the share
            of votes for another class than theirs, ``(B, H, W)``.
        """
        # Lightning has moved and rounded this network, but not those.
        weight = next(self.parameters(), x)
        members = [member.to(x.device, weight.dtype) for member in self.members]
        networks = [task.compute_logits for task in (self, *members)]
        return vote(networks, x, self.hparams['tta'])

    def predict_step(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor | None]:
        """Predict the classes of a batch.

        Args:
            batch: ``'image'`` of shape ``(B, C, H, W)``, scaled, and perhaps
                ``'valid'`` of shape ``(B, H, W)``, False where there is no data.
            batch_idx: Position of the batch in the epoch.
            dataloader_idx: Position of its dataloader.

        Returns:
            torchgeo's ``'bounds'``, ``'transform'`` and ``'probabilities'`` of shape
            ``(B, num_classes, H, W)``, None unless :attr:`return_probabilities`, and
            ``'prediction'`` of shape ``(B, H, W)``, uint8 class indices,
            :data:`~dfc2020_geo.classes.IGNORE_INDEX` without data. With
            :attr:`return_logits` alone ``'logits'`` and ``'disagreement'``, as
            :meth:`vote` gives them, the latter None for one view of one network.
        """
        if self.return_logits:
            return self._predict_logits(batch['image'])
        logits = self(batch['image'])
        prediction = best_class(logits, dim=1)
        probabilities = None
        if self.return_probabilities:
            probabilities = logits.float().softmax(dim=1)
        if 'valid' in batch:
            prediction = prediction.where(batch['valid'], IGNORE_INDEX)
        return {
            'prediction': prediction,
            'probabilities': probabilities,
            'bounds': batch.get('bounds'),
            'transform': batch.get('transform'),
        }

    def _predict_logits(self, x: Tensor) -> dict[str, Any]:
        if self._is_vote:
            logits, disagreement = self.vote(x)
            return {'logits': logits, 'disagreement': disagreement}
        return {'logits': self(x), 'disagreement': None}
