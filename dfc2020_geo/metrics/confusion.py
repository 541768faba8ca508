"""Counting which class is predicted where which class is true."""

import torch
from torch import Tensor

#: Values that one byte holds, as those of class indices and the ignored index.
NUM_VALUES = 256


def count_confusion(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Count how often each class is predicted for each true class.

    Nothing waits for an accelerator, so wrong values there are counted; on a processor
    they are refused.

    Args:
        prediction: Class indices of any shape and integer type.
        target: True class indices of the same shape, any integer type.
        num_classes: Number of classes C.
        ignore_index: Index of pixels without a class, from C to 255.

    Returns:
        Pixel counts of shape ``(C + 2, C + 2)``, int64; rows are the truth, columns the
        prediction. After the classes come the ignored index and all other values.

    Raises:
        ValueError: If types are not integer, or, on a processor, a value is neither a
            class nor the ignored index.
    """
    for name, values in (('target', target), ('prediction', prediction)):
        if values.is_floating_point() or values.is_complex():
            raise ValueError(
                f'Expected a {name} of an integer type, got {values.dtype}.'
            )
    if target.device.type == 'cpu':
        return _count_bytes(prediction, target, num_classes, ignore_index)
    return _count_places(prediction, target, num_classes, ignore_index)


def _count_places(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Count without a look at any value, and so without waiting for the device.

    :func:`torch.bincount` would look for the highest.
    """
    size = num_classes + 2
    row, column = (_places(x, num_classes, ignore_index) for x in (target, prediction))
    place = row.mul_(size).add_(column).flatten()
    counts = place.new_zeros(size**2)
    counts.scatter_add_(0, place, place.new_ones(1).expand_as(place))
    return counts.view(size, size)


def _places(values: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Return where in the matrix values are counted, int64."""
    values = values.long()  # not every integer type has all operations
    wrong = (values < 0) | (values >= num_classes)
    places = values.masked_fill(wrong, num_classes + 1)
    return places.masked_fill_(values == ignore_index, num_classes)


def _count_bytes(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Count every pair of bytes, and look for wrong values among the counts.

    These are 65 536, fewer than the pixels of a batch. int32 keys are twice as fast as
    int64 ones.
    """
    key = _bytes('target', target).int().mul_(NUM_VALUES)
    key += _bytes('prediction', prediction)
    pairs = torch.bincount(key.flatten(), minlength=NUM_VALUES**2)
    pairs = pairs.view(NUM_VALUES, NUM_VALUES)
    known = [*range(num_classes), ignore_index]
    for name, occurs in (('target', pairs.any(dim=1)), ('prediction', pairs.any(0))):
        wrong = sorted({*occurs.nonzero().flatten().tolist()}.difference(known))
        if wrong:
            raise ValueError(
                f'Expected a {name} from 0 to {num_classes - 1} or {ignore_index} '
                f'(ignored), got {wrong[:10]}.'
            )
    counts = pairs.new_zeros(num_classes + 2, num_classes + 2)
    counts[:-1, :-1] = pairs[known][:, known]
    return counts


def _bytes(name: str, values: Tensor) -> Tensor:
    """Turn integers into uint8, if they fit."""
    if values.dtype == torch.uint8 or not values.numel():
        return values.byte()
    values = values.long()  # not every integer type has all operations
    low, high = torch.stack(values.aminmax()).tolist()
    if low < 0 or high >= NUM_VALUES:
        wrong = low if low < 0 else high
        raise ValueError(f'Expected a {name} from 0 to {NUM_VALUES - 1}, got {wrong}.')
    return values.byte()
