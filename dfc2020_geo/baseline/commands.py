"""The verbs ``import-baseline`` and ``export-baseline``."""

import shlex
from argparse import Action, ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import Any

from ..bands import band_names
from ..classes import get_scheme
from ..cli.usage import UsageError, VerbParser
from .checkpoints import Conversion, export_checkpoint, import_checkpoint


def run_import(args: list[str]) -> None:
    """Import a checkpoint of the baseline, and print its network and its use.

    Args:
        args: Command line from the verb on.
    """
    parser = _parser(
        args[0],
        'Make a checkpoint of this package, and a config that trains it on, from a '
        'checkpoint of the 2020 baseline. Nothing in its files is run.',
    )
    add = partial(parser.add_argument, type=Path, required=True)
    add('--config_file', '--config', action=_Once, help='its args.pkl')
    add('--checkpoint_file', help='its checkpoint_step_N.pth')
    add('--out', help='the checkpoint to write, FILE.ckpt')
    chosen = parser.parse_args(args[1:])
    print(f'Reading {chosen.checkpoint_file} as {chosen.config_file} says', flush=True)
    done = import_checkpoint(**vars(chosen))
    checkpoint, config = (shlex.quote(str(path)) for path in done.files)
    print(_describe(done))
    print('To score it, to map with it, to train it on:')
    print(f'  dfc2020-geo test --ckpt {checkpoint} --data.dfc2020_root DIR')
    print(f'  dfc2020-geo predict --ckpt {checkpoint} --data.unlabeled_root DIR')
    print(f'  dfc2020-geo fit --config {config}')


def run_export(args: list[str]) -> None:
    """Export a checkpoint to the baseline, and print its network and its use.

    Args:
        args: Command line from the verb on.
    """
    parser = _parser(
        args[0],
        'Write checkpoint_step_N.pth and args.pkl for the predict.py of the 2020 '
        'baseline, from a checkpoint of this package with a network of the baseline.',
    )
    add = partial(parser.add_argument, type=Path, required=True)
    add('--ckpt', dest='ckpt_path', help='checkpoint of this package')
    add('--out', dest='out_dir', help='directory to write to')
    chosen = parser.parse_args(args[1:])
    print(f'Reading {chosen.ckpt_path}', flush=True)
    done = export_checkpoint(**vars(chosen))
    checkpoint, config = (shlex.quote(str(path)) for path in done.files)
    print(_describe(done))
    print("To map with it, in the baseline's code:")
    print(f'  python predict.py --config_file {config} --checkpoint_file {checkpoint}')


class _Once(Action):
    """Refuse a second value under another spelling of the same flag."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        if before not in (None, values):
            raise UsageError(
                f'Expected {" or ".join(self.option_strings)}, which mean the same, '
                f'got {before} and {values}.'
            )
        setattr(namespace, self.dest, values)


def _parser(verb: str, description: str) -> VerbParser:
    parser = VerbParser(verb, description=description)
    parser.add_argument(
        '--overwrite', action='store_true', help='replace files that are there'
    )
    return parser


def _describe(done: Conversion) -> str:
    network = done.network
    stride = f', output stride {network["output_stride"]}'
    labels = get_scheme(network['scheme']).labels
    rows = {
        'network': network['model'] + (stride if 'deeplab' in network['model'] else ''),
        'bands': ', '.join(band_names(network['bands'])),
        'classes': f'{len(labels)} ({network["scheme"]})',
        'step': done.step,
    }
    return '\n'.join(
        [
            *(f'  {name:10}{value}' for name, value in rows.items()),
            *(f'  {remark}' for remark in done.remarks),
            *(f'Wrote {path}' for path in done.files),
        ]
    )
