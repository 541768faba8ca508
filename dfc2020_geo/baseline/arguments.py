"""Arguments of the 2020 baseline, translated to settings of this package."""

from collections.abc import Mapping
from typing import Any

from ..bands import BAND_SETS, band_names

#: Every argument of the baseline's train.py with its default, in its pickles' order.
#: The last two are not flags: it adds them before it pickles.
ARGUMENTS: dict[str, Any] = {
    'experiment_name': 'experiment',
    'seed': None,
    'val_freq': 1000,
    'save_freq': 1000,
    'log_freq': 100,
    'use_s2hr': False,
    'use_s2mr': False,
    'use_s2lr': False,
    'use_s1': False,
    'no_savanna': False,
    'lr': 1e-2,
    'momentum': 0.9,
    'weight_decay': 5e-4,
    'batch_size': 32,
    'workers': 4,
    'max_epochs': 100,
    'model': 'deeplab',
    'pretrained_backbone': False,
    'out_stride': 16,
    'data_dir_train': None,
    'dataset_val': 'sen12ms_holdout',
    'data_dir_val': None,
    'log_dir': 'logs',
    'use_gpu': False,
    'checkpoint_dir': None,
}

#: Band set that each flag adds.
BAND_FLAGS = {
    'use_s1': 's1',
    'use_s2hr': 's2-10m',
    'use_s2mr': 's2-20m',
    'use_s2lr': 's2-60m',
}

#: Class scheme by ``no_savanna``.
SCHEMES = {False: 'dfc2020', True: 'dfc2020-no-savanna'}

#: Name of each network here.
MODELS = {'deeplab': 'baseline-deeplabv3+', 'unet': 'baseline-unet'}

#: Output strides of DeepLabv3+.
OUT_STRIDES = (8, 16)

#: The sets that may serve validation, with the argument for their root here.
VALIDATION_ROOTS = {
    'sen12ms_holdout': 'val_root',
    'dfc2020_val': 'dfc2020_root',
    'dfc2020_test': 'dfc2020_root',
}

#: Arguments that decide the architecture: no network is built without them.
NETWORK_ARGUMENTS = (*BAND_FLAGS, 'no_savanna', 'model', 'out_stride')


def network_settings(args: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the baseline's arguments to the settings of a network.

    Args:
        args: Arguments of the baseline by name, as its pickle has them.

    Returns:
        ``bands``, ``scheme``, ``nan``, ``model`` and ``output_stride``, as the task
        has them.

    Raises:
        ValueError: If an argument is missing, or its value is none of the baseline's.
    """
    if missing := [name for name in NETWORK_ARGUMENTS if name not in args]:
        raise ValueError(
            f'Expected the arguments {", ".join(NETWORK_ARGUMENTS)} of the baseline, '
            f'got none of the name {", ".join(missing)}.'
        )
    for name in (*BAND_FLAGS, 'no_savanna'):
        if args[name] not in (True, False):
            raise ValueError(f'Expected {name} of True or False, got {args[name]!r}.')
    bands = [name for flag, name in BAND_FLAGS.items() if args[flag]]
    if not bands:
        raise ValueError(
            f'Expected one or more of --{", --".join(BAND_FLAGS)}, got none; '
            'a network needs bands to read.'
        )
    if args['model'] not in tuple(MODELS):
        raise ValueError(f"Expected model of {tuple(MODELS)}, got '{args['model']}'.")
    # The U-Net has no use for an output stride, so any will do.
    stride = args['out_stride'] if args['model'] == 'deeplab' else OUT_STRIDES[-1]
    if stride not in OUT_STRIDES:
        raise ValueError(f'Expected out_stride of {OUT_STRIDES}, got {stride}.')
    return {
        'bands': bands,
        'scheme': SCHEMES[bool(args['no_savanna'])],
        'nan': 'baseline',
        'model': MODELS[args['model']],
        'output_stride': stride,
    }


def baseline_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the settings of a network to the baseline's arguments.

    Args:
        settings: Settings by their names here: ``bands``, ``scheme``, ``nan``,
            ``model``, ``output_stride`` (DeepLabv3+), and any of ``lr``,
            ``backbone_lr``, ``weights`` and of :data:`ARGUMENTS` that are called the
            same in both. Others do not matter.

    Returns:
        Every argument of the baseline, in its pickles' order; its defaults where
        nothing is known.

    Raises:
        ValueError: If the baseline has no such network.
    """
    flags = _band_flags(settings['bands'])
    schemes = {name: flag for flag, name in SCHEMES.items()}
    models = {ours: name for name, ours in MODELS.items()}
    for name, known in (('scheme', schemes), ('model', models)):
        if settings[name] not in known:
            raise ValueError(
                f'Expected a network of the 2020 baseline, {name} of {tuple(known)}, '
                f"got '{settings[name]}'."
            )
    lr = settings.get('backbone_lr') or settings.get('lr')
    stride = settings.get('output_stride')
    stated = {
        **{name: settings[name] for name in ARGUMENTS if name in settings},
        **flags,
        'no_savanna': schemes[settings['scheme']],
        'model': models[settings['model']],
        'pretrained_backbone': bool(settings.get('weights')),
        'out_stride': ARGUMENTS['out_stride'] if stride is None else stride,
        'lr': ARGUMENTS['lr'] if lr is None else lr,
    }
    return ARGUMENTS | stated


def _band_flags(bands: Any) -> dict[str, bool]:
    chosen = set(band_names(bands))
    flags = {flag: chosen >= {*BAND_SETS[name]} for flag, name in BAND_FLAGS.items()}
    covered = {b for f, name in BAND_FLAGS.items() if flags[f] for b in BAND_SETS[name]}
    if rest := sorted(chosen - covered):
        raise ValueError(
            f'Expected whole band sets of {tuple(BAND_FLAGS.values())}, as the 2020 '
            f'baseline reads them, got {", ".join(rest)} without the rest of its set.'
        )
    return flags
