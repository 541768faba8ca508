"""Acceleration: channels last, activation checkpointing, no wait for the device."""

import math
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

#: Arguments of a task that belong to a machine, not to a network: no checkpoint fixes
#: or keeps them.
SWITCHES = ('compile', 'channels_last', 'activation_checkpointing')

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


#: The most losses that are not looked at yet.
_MOST_PENDING = 50


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """Find the parts that a network is a chain of, as those of a ResNet's stages.

    Args:
        network: Network that names them itself, as ``blocks``, or has them as elements
            of lists. Of parts within parts, the innermost are taken.

    Returns:
        Parts of two or more convolutions or linear layers each, none within another.
    """
    named = getattr(network, 'blocks', None)
    return list(_find(network) if named is None else named)


def _find(module: nn.Module, is_element: bool = False) -> list[nn.Module]:
    is_list = isinstance(module, _CONTAINERS)
    inner = [block for child in module.children() for block in _find(child, is_list)]
    # A list without a forward of its own is never called, only what is in it.
    is_called = type(module) not in (nn.ModuleList, nn.ModuleDict)
    if not inner and is_element and is_called and _count_layers(module) > 1:
        return [module]
    return inner


def _count_layers(module: nn.Module) -> int:
    weights = (m.parameters(recurse=False) for m in module.modules())
    return sum(any(weight.ndim > 1 for weight in own) for own in weights)


def checkpoint_activations(network: nn.Module) -> None:
    """Keep the inputs of a network's blocks alone, and compute the rest again.

    Backward needs what was computed on the way; here each block is computed a second
    time when its turn comes. Dropout drops the same, and batch normalisation counts a
    batch once, so losses, gradients, weights and buffers are those of before.

    Args:
        network: Network, changed in place; the names of its weights stay.

    Raises:
        ValueError: If the network has no blocks.
    """
    blocks = find_blocks(network)
    if not blocks:
        raise ValueError(
            f'Expected a network with blocks for activation_checkpointing, '
            f'got {type(network).__name__}, which has none; leave it out.'
        )
    for block in blocks:
        # Nothing but a module's function and the block itself: so copies and pickles
        # of the network compute with their own weights.
        block.forward = partial(_compute_twice, block)


def _compute_twice(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    compute = partial(type(block).forward, block)
    if not torch.is_grad_enabled():
        return compute(*args, **kwargs)
    # A dense block goes on to fill the list that its layers get.
    args = tuple([*one] if isinstance(one, list) else one for one in args)
    if torch.compiler.is_compiling():
        # The compiler has its own way of computing again, without statistics.
        return checkpoint(compute, *args, use_reentrant=False, **kwargs)
    return checkpoint(
        compute,
        *args,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _writing_to_copies(block)),
        **kwargs,
    )


@contextmanager
def _writing_to_copies(block: nn.Module) -> Generator[None]:
    """Keep running statistics from counting a batch a second time."""
    kept = [
        (module, name, buffer)
        for module in block.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in kept:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in kept:
            setattr(module, name, buffer)


def arrange(images: Tensor, channels_last: bool) -> Tensor:
    """Lay images out in memory in one of two ways, whatever they were cut from.

    A compiled network is compiled anew for each way that it meets.

    Args:
        images: Images of shape ``(B, C, H, W)``.
        channels_last: Whether the values of a pixel lie together, not those of a band.

    Returns:
        The images, copied unless they lie so already.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return images.contiguous(memory_format=layout)


class LossWatch:
    """Stops a training whose loss is no number, without waiting for a device.

    A loss is looked at once its device has computed it, which may be some steps later.
    """

    def __init__(self) -> None:
        """Initialize a new LossWatch instance."""
        self._pending: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def note(self, position: int, loss: Tensor) -> tuple[int, float] | None:
        """Note the loss of a batch, and look at those that are computed.

        Args:
            position: Position of the batch in the epoch.
            loss: Its loss, a scalar.

        Returns:
            Position and loss of the first batch whose loss is no number; None if there
            is none so far.
        """
        loss, event = loss.detach(), None
        if loss.is_cuda:
            host = torch.empty((), dtype=loss.dtype, pin_memory=True)
            loss = host.copy_(loss, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._pending.append((position, loss, event))
        return self.look()

    def look(self, is_waiting: bool = False) -> tuple[int, float] | None:
        """Look at the losses that are computed.

        Args:
            is_waiting: Whether to wait for all of them.

        Returns:
            As :meth:`note`.
        """
        while self._pending:
            position, loss, event = self._pending[0]
            if event is not None and not event.query():
                if not is_waiting and len(self._pending) <= _MOST_PENDING:
                    break
                event.synchronize()
            self._pending.popleft()
            # From the host's memory: no device is asked.
            if not math.isfinite(value := float(loss.float().numpy())):
                self._pending.clear()
                return position, value
        return None


def show_loss(trainer: Trainer, loss: Tensor) -> None:
    """Show a training loss in the progress bar now and then.

    What is logged for the bar, Lightning reads from the device after each step, even
    without a bar, and the next step would not begin before.

    Args:
        trainer: The trainer, in training.
        loss: The loss, a scalar.
    """
    every = vars(trainer)['log_every_n_steps']
    is_shown = trainer.progress_bar_callback is not None and every
    if is_shown and trainer.global_step % every == 0:
        trainer.progress_bar_metrics['train_loss'] = loss.item()
