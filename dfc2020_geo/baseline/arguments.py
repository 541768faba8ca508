"""The arguments of the 2020 baseline, and the settings that they are here."""

import os
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

#: DeepLabv3+ trains its head at this many times the rate of its backbone.
HEAD_RATE = 10

#: Arguments that decide what a network is: without them it cannot be built.
NETWORK_ARGUMENTS = (*BAND_FLAGS, 'no_savanna', 'model', 'out_stride')


def network_settings(args: Mapping[str, Any]) -> dict[str, Any]:
    """Say what network the baseline's arguments describe.

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


def fit_config(args: Mapping[str, Any]) -> dict[str, Any]:
    """Write the baseline's arguments as a config of ``dfc2020-geo fit``.

    Args:
        args: Arguments of the baseline by name, as its pickle has them; those that do
            not decide what the network is may be missing and then have its defaults.

    Returns:
        The config, of plain values: the same network, recipe, steps and paths.

    Raises:
        ValueError: As :func:`network_settings`, or if the set for validation is none
            of the baseline's.
    """
    network = network_settings(args)
    args = ARGUMENTS | dict(args)
    if args['dataset_val'] not in tuple(VALIDATION_ROOTS):
        raise ValueError(
            f'Expected dataset_val of {tuple(VALIDATION_ROOTS)}, '
            f"got '{args['dataset_val']}'."
        )
    seed = args['seed']
    return {
        'seed_everything': False if seed is None else seed,
        'data': {
            'class_path': 'dfc2020_geo.datamodules.LandCoverDataModule',
            'init_args': _data(args, network),
        },
        'model': {
            'class_path': 'dfc2020_geo.tasks.LandCoverSegmentation',
            'init_args': _model(args, network),
        },
        'trainer': _trainer(args),
    }


def _data(args: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
    train, val = (args[f'data_dir_{split}'] for split in ('train', 'val'))
    roots = {VALIDATION_ROOTS[args['dataset_val']]: val, 'sen12ms_root': train}
    if val == train:
        roots.pop('val_root', None)
    return {
        'val': args['dataset_val'],
        **{name: str(path) for name, path in roots.items() if path is not None},
        **{name: network[name] for name in ('bands', 'scheme', 'nan')},
        'batch_size': args['batch_size'],
        'num_workers': args['workers'],
    }


def _model(args: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
    decay = {'weight_decay': args['weight_decay']}
    if args['model'] == 'unet':
        recipe = {'lr': args['lr'], 'optimizer': _call('optim.RMSprop', decay)}
    else:
        momentum = {'momentum': args['momentum']}
        recipe = {
            'output_stride': network['output_stride'],
            'weights': True if args['pretrained_backbone'] else None,
            'lr': HEAD_RATE * args['lr'],
            'backbone_lr': args['lr'],
            'optimizer': _call('optim.SGD', momentum | decay),
        }
    rate = _call('optim.lr_scheduler.ConstantLR', {'factor': 1.0})
    return {'model': network['model'], **recipe, 'lr_scheduler': rate}


def _trainer(args: Mapping[str, Any]) -> dict[str, Any]:
    folder = os.path.join(str(args['log_dir']), str(args['experiment_name']))
    tensorboard = {
        'save_dir': str(args['log_dir']),
        'name': args['experiment_name'],
        'version': '',
    }
    saving = {
        'dirpath': f'{folder}/checkpoints',
        'every_n_train_steps': args['save_freq'],
    }
    return {
        'devices': 1,
        'max_epochs': args['max_epochs'],
        'val_check_interval': args['val_freq'],
        'check_val_every_n_epoch': None,
        'num_sanity_val_steps': 0,
        'log_every_n_steps': args['log_freq'],
        **({} if args['seed'] is None else {'deterministic': 'warn'}),
        'logger': [
            _object('lightning.pytorch.loggers.TensorBoardLogger', tensorboard),
            _object(
                'lightning.pytorch.loggers.CSVLogger',
                {'save_dir': folder, 'name': 'csv'},
            ),
        ],
        'callbacks': [
            _object('dfc2020_geo.baseline.saving.BaselineCheckpoint', saving),
            _object(
                'dfc2020_geo.callbacks.TrainingLogger',
                {'every_n_steps': args['log_freq']},
            ),
        ],
    }


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return _object(f'torch.{name}', arguments)


def _object(path: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {'class_path': path, 'init_args': arguments}


def baseline_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Say in the baseline's arguments what a network of this package is.

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
