"""The verb ``map``: maps of whole scenes."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from .stages import LandCoverCLI
from .usage import VerbParser

#: Options of the datamodule that errors and warnings of scenes name.
_READING = ('s2_offset', 's1_power', 'resampling')


_DESCRIPTION = """\
Map a scene of any size with a trained network. What is not listed here goes to
`dfc2020-geo predict`, whose --help has it: every --data, --scene_maps, --model and
--trainer option."""


_EXAMPLES = """\
Examples:
  dfc2020-geo map --ckpt model.ckpt --s2 scene_s2.tif --s1 scene_s1.tif --out map.tif
  dfc2020-geo map --ckpt model.ckpt --s2 S2A_MSIL1C_20200510.SAFE --layers confidence
  dfc2020-geo map --ckpt a.ckpt b.ckpt --s2 scenes/s2 --s1 scenes/s1 --out maps
  dfc2020-geo map --ckpt model.ckpt --s2 scene_s2.tif --trainer.accelerator gpu
"""


def main(args: Sequence[str]) -> None:
    """Run ``dfc2020-geo map``, as the stage predict with the config of scenes.

    Args:
        args: Command line, with the verb first.
    """
    options, rest = _build_parser().parse_known_args(args[1:])
    first, *others = options.ckpt
    settings = {
        'data.s2': options.s2 and json.dumps(options.s2),
        'data.s1': options.s1 and json.dumps(options.s1),
        'data.s2_bands': ','.join(options.s2_bands),
        'data.s1_bands': ','.join(options.s1_bands),
        **{f'data.{name}': vars(options)[name] for name in _READING},
        'data.check': options.check,
        'scene_maps.output': options.out,
        'scene_maps.layers': options.layers and json.dumps(options.layers),
        'model.ensemble': others and json.dumps(others),
    }
    flags = {
        'model.tta': options.tta,
        'scene_maps.polygons': options.polygons,
        'scene_maps.overwrite': options.overwrite,
    }
    said = [f'--{name}={value}' for name, value in settings.items() if value]
    said += [f'--{name}=true' for name, value in flags.items() if value]
    LandCoverCLI(['predict', '--config', 'scene', '--ckpt_path', first, *said, *rest])


def _build_parser() -> ArgumentParser:
    parser = VerbParser(
        'map',
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    several: dict[str, Any] = {'nargs': '+', 'action': 'extend', 'default': []}
    add('--ckpt', **several, required=True, help='checkpoint; several are averaged')
    add('--s2', **several, help='Sentinel-2: files, products or directories')
    add('--s1', **several, help='Sentinel-1 of the same scenes')
    add('--s2_bands', **several, help='names of the Sentinel-2 bands, in their order')
    add('--s1_bands', **several, help='names of the Sentinel-1 bands, in their order')
    add('--s2_offset', help='what is added to the numbers of Sentinel-2, such as -1000')
    add('--s1_power', nargs='?', const='true', help='convert linear power to dB')
    add('--resampling', help='how Sentinel-1 is brought to the grid of Sentinel-2')
    add('--check', help='what doubtful values do: error (stop), warn or off')
    add('--out', default='map.tif', help='the map (map.tif), or a directory for maps')
    add('--tta', action='store_true', help='average the 8 symmetries of each tile')
    add('--layers', **several, help='probabilities confidence entropy disagreement')
    add('--polygons', action='store_true', help='write the areas of classes as well')
    add('--overwrite', action='store_true', help='replace a map that is there')
    return parser
