"""Config of ``dfc2020-geo fit`` from the 2020 baseline's training arguments."""

import os
from collections.abc import Mapping
from typing import Any

from .arguments import ARGUMENTS, VALIDATION_ROOTS, network_settings

#: DeepLabv3+ trains its head at this many times the rate of its backbone.
HEAD_RATE = 10


def fit_config(args: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the baseline's arguments to a config of ``dfc2020-geo fit``.

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
        'data': _object(
            'dfc2020_geo.datamodules.LandCoverDataModule', _data(args, network)
        ),
        'model': _object(
            'dfc2020_geo.tasks.LandCoverSegmentation', _model(args, network)
        ),
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
        # Values are told of, and read as in 2020.
        'check': 'warn',
    }


def _model(args: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
    decay = {'weight_decay': args['weight_decay']}
    if args['model'] == 'unet':
        recipe = {'lr': args['lr'], 'optimizer': _object('torch.optim.RMSprop', decay)}
    else:
        momentum = {'momentum': args['momentum']}
        recipe = {
            'output_stride': network['output_stride'],
            'weights': True if args['pretrained_backbone'] else None,
            'lr': HEAD_RATE * args['lr'],
            'backbone_lr': args['lr'],
            'optimizer': _object('torch.optim.SGD', momentum | decay),
        }
    rate = _object('torch.optim.lr_scheduler.ConstantLR', {'factor': 1.0})
    return {'model': network['model'], **recipe, 'lr_scheduler': rate}


def _trainer(args: Mapping[str, Any]) -> dict[str, Any]:
    folder = os.path.join(str(args['log_dir']), str(args['experiment_name']))
    tensorboard = {
        'save_dir': str(args['log_dir']),
        'name': args['experiment_name'],
        'version': '',
    }
    csv = {'save_dir': folder, 'name': 'csv'}
    saving = {
        'dirpath': f'{folder}/checkpoints',
        'every_n_train_steps': args['save_freq'],
    }
    logging = {'every_n_steps': args['log_freq']}
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
            _object('lightning.pytorch.loggers.CSVLogger', csv),
        ],
        'callbacks': [
            _object('dfc2020_geo.baseline.saving.BaselineCheckpoint', saving),
            _object('dfc2020_geo.callbacks.TrainingLogger', logging),
        ],
    }


def _object(path: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {'class_path': path, 'init_args': arguments}
