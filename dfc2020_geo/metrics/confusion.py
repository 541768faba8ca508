"""Confusion matrix of class indices, on the CPU or an accelerator."""

import torch
from torch import Tensor

#: Number of uint8 values; class indices and the ignored index are below it.
NUM_VALUES = 256


def count_confusion(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Count the pixels of each pair of true and predicted class.

    On the CPU invalid values are refused. On an accelerator they are counted in the
    last row and column, because a check would wait for the device.

    Args:
        prediction: Predicted class indices, any shape, any integer dtype.
        target: True class indices of the same shape, any integer dtype.
        num_classes: Number of classes C.
        ignore_index: Index of pixels without a class, from C to 255.

    Returns:
        Pixel counts of shape ``(C + 2, C + 2)``, int64; rows are the truth, columns the
        prediction. Index C is the ignored index, C + 1 every invalid value.

    Raises:
        ValueError: If dtypes are not integer, or, on the CPU, a value is neither a
            class nor the ignored index.

    Examples:
        >>> prediction = torch.tensor([0, 1, 1, 1])
        >>> target = torch.tensor([0, 0, 1, 255])
        >>> count_confusion(prediction, target, num_classes=2, ignore_index=255)
        tensor([[1, 1, 0, 0],
                [0, 1, 0, 0],
                [0, 1, 0, 0],
                [0, 0, 0, 0]])
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
    """Count without synchronisation with the device.

    :func:`torch.bincount` would wait for the largest value.
    """
    size = num_classes + 2
    row, column = (_places(x, num_classes, ignore_index) for x in (target, prediction))
    place = row.mul_(size).add_(column).flatten()
    counts = place.new_zeros(size**2)
    counts.scatter_add_(0, place, place.new_ones(1).expand_as(place))
    return counts.view(size, size)


def _places(values: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Return the row or column of the matrix that each value is counted in, int64."""
    values = values.long()  # not every integer type has all operations
    wrong = (values < 0) | (values >= num_classes)
    places = values.masked_fill(wrong, num_classes + 1)
    return places.masked_fill_(values == ignore_index, num_classes)


def _count_bytes(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Count every pair of uint8 values, and check for invalid ones among the counts.

    There are 65 536 counts, fewer than the pixels of a batch. int32 keys are twice as
    fast as int64 keys.
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
    """Cast integers to uint8.

    Raises:
        ValueError: If a value does not fit.
    """
    if values.dtype == torch.uint8 or not values.numel():
        return values.byte()
    values = values.long()  # not every integer type has all operations
    low, high = torch.stack(values.aminmax()).tolist()
    if low < 0 or high >= NUM_VALUES:
        wrong = low if low < 0 else high
        raise ValueError(f'Expected a {name} from 0 to {NUM_VALUES - 1}, got {wrong}.')
    return values.byte()
