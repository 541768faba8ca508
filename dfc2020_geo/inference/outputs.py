"""Where the maps of scenes go, and what decides what is in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from ..callbacks.fingerprint import Weights, describe_network
from ..models.contract import versions
from .maps import Parts, join_parts, list_outputs, open_parts
from .sources import describe_scene, list_files
from .tiles import SceneTiles


def place_maps(output: Path, tiles: SceneTiles) -> list[Path]:
    """Choose the files of the maps of scenes.

    Args:
        output: The map, a file; of several scenes, a directory for their maps.
        tiles: The tiles of the scenes.

    Returns:
        The map of each scene.

    Raises:
        ValueError: If a map would replace another one or what its scene is read from,
            or a file is named for several.
    """
    names = [scene.name for scene in tiles.scenes]
    is_file = output.suffix and not output.is_dir()
    if is_file and len(names) > 1:
        raise ValueError(
            f'Expected a directory for the maps of {len(names)} scenes, got {output}; '
            'choose another --out or --scene_maps.output.'
        )
    paths = [output] if is_file else [output / f'{name}.tif' for name in names]
    if len({*paths}) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(
            f'Expected a map of its own for each scene, got {twice} for two; rename '
            'the scenes, or map them one by one.'
        )
    _check_sources(paths, tiles)
    return paths


def _check_sources(paths: Sequence[Path], tiles: SceneTiles) -> None:
    """Check that no file of a map replaces one of a scene."""
    sources = {
        Path(file).resolve() for scene in tiles.scenes for file in list_files(scene)
    }
    outputs = [output for path in paths for output in list_outputs(path)]
    if inputs := [path for path in outputs if path.resolve() in sources]:
        raise ValueError(
            f'Expected another name for the map than that of its scene, got '
            f'{inputs[0]}, which would be replaced; choose another --out or '
            '--scene_maps.output.'
        )


def open_maps(
    paths: Sequence[Path],
    tiles: SceneTiles,
    layers: Sequence[str],
    trainer: Trainer,
    pl_module: LightningModule,
    weights: Weights,
    overwrite: bool = False,
) -> list[Parts]:
    """Open the rows of every map, in the first process before the others.

    Args:
        paths: The map of each scene.
        tiles: The tiles of the scenes.
        layers: Names of the layers beside the classes.
        trainer: The trainer that predicts.
        pl_module: The task.
        weights: Its weights, before a precision rounds them.
        overwrite: Whether maps that are there may be replaced.

    Returns:
        The rows of each map.

    Raises:
        OSError: If a map is there, or cannot be written.
        ValueError: If a path cannot be a map's, or a scene does not lie on the Earth.
    """
    module: Any = pl_module
    settings = describe_map(trainer, pl_module, weights, tiles)
    arguments = [
        (path, scene.grid, module.scheme, layers, settings | describe_scene(scene))
        for path, scene in zip(paths, tiles.scenes, strict=True)
    ]
    if trainer.is_global_zero:
        opened = [open_parts(*a, overwrite=overwrite) for a in arguments]
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        opened = [join_parts(*a) for a in arguments]
    return opened


def describe_map(
    trainer: Trainer, pl_module: LightningModule, weights: Weights, tiles: SceneTiles
) -> dict[str, Any]:
    """State what decides the content of a map, beside its scene and its layers.

    Args:
        trainer: The trainer that predicts.
        pl_module: The task.
        weights: Its weights, before a precision rounds them.
        tiles: The tiles of the scenes.

    Returns:
        Plain values by name.
    """
    return {
        **describe_network(trainer, pl_module, weights),
        'tiling': tiles.describe(),
        'versions': versions(),
    }


def make_tags(settings: dict[str, Any]) -> dict[str, str]:
    """Say in a map whose it is.

    Args:
        settings: What :func:`describe_map` returned.

    Returns:
        Texts by name.
    """
    tiling = ', '.join(f'{name} {value}' for name, value in settings['tiling'].items())
    return {
        'weights_sha256': ' '.join(settings['weights']),
        'version': settings['versions']['dfc2020-geo'],
        'bands': ' '.join(settings['contract']['bands']),
        'scheme': settings['contract']['scheme'],
        'tiling': tiling,
        'tta': str(settings['tta']).lower(),
    }
