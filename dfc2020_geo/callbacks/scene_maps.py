"""Writing the maps of whole scenes, row by row."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ..contract import versions
from ..maps import (
    Grid,
    Parts,
    find_time,
    finish_map,
    join_parts,
    list_outputs,
    open_parts,
)
from ..records import hash_weights
from ..scene_tiles import Run, SceneTiles
from ..strips import Strip
from ..tiling import Span
from .scene_rows import RowWriter
from .scene_sources import check_unchanged, describe_scene, list_files, list_sources


class SceneMapWriter(Callback):
    """Write a map of each scene; go on where a killed run stopped.

    Finished rows lie in a directory ``NAME.tif.part`` until all are there; only then
    does the map appear under its name, a Cloud Optimised GeoTIFF with what QGIS and
    STAC need beside it.
    """

    def __init__(
        self,
        output: Path | str = 'map.tif',
        layers: Sequence[str] = (),
        polygons: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Initialize a new SceneMapWriter instance.

        Args:
            output: The map, a ``.tif``; of several scenes, a directory for their maps.
            layers: Layers beside the classes, each a file of its own:
                ``'probabilities'``, ``'confidence'``, ``'entropy'`` and, with several
                networks or views, ``'disagreement'``.
            polygons: Whether to write the areas of each class as a GeoPackage.
            overwrite: Whether maps that are there may be replaced.
        """
        self.output = Path(output).expanduser()
        self.layers = list(layers)
        self.polygons, self.overwrite = polygons, overwrite
        #: What the last run wrote.
        self.paths: list[Path] = []
        self.parts: list[Parts] = []
        self.rows: RowWriter | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have the rows that are done left out.

        Raises:
            ValueError: If a layer cannot be made.
        """
        datamodule: Any = getattr(trainer, 'datamodule', None)
        if stage != 'predict' or datamodule is None:
            return
        if not hasattr(pl_module, 'contract'):
            raise TypeError(
                'Expected dfc2020_geo.tasks.LandCoverSegmentation to map scenes, got '
                f'{type(pl_module).__name__}.'
            )
        hparams: Any = pl_module.hparams
        alone = not (hparams.get('tta') or hparams.get('ensemble'))
        if 'disagreement' in self.layers and alone:
            raise ValueError(
                "Expected several networks or views for the layer 'disagreement', got "
                'one; add --model.tta true or --model.ensemble, or leave it out.'
            )
        # Not now: the weights of a checkpoint, whose rows there may be, are loaded
        # after this and before the loader is made.
        datamodule.narrow = partial(self._narrow, trainer, pl_module)

    def _narrow(
        self, trainer: Trainer, pl_module: LightningModule, tiles: SceneTiles
    ) -> SceneTiles:
        """Keep the tiles that this process has to predict."""
        self.parts = self._open(trainer, pl_module, tiles)
        missing = [
            (i, row)
            for i, (parts, rows) in enumerate(zip(self.parts, tiles.rows, strict=True))
            for done in [parts.done()]
            for row, span in enumerate(rows.finished)
            if (span.start, span.stop) not in done
        ]
        trainer.strategy.barrier()  # until all have seen what is done
        share = _share(missing, trainer.global_rank, trainer.world_size)
        # No process can do without a batch, so it does the last rows once more.
        last = (len(tiles.scenes) - 1, len(tiles.rows[-1].finished) - 1)
        return tiles.select(_find_runs(share or [last]))

    def _open(
        self, trainer: Trainer, pl_module: LightningModule, tiles: SceneTiles
    ) -> list[Parts]:
        """Open the rows of every scene, in the first process before the others."""
        weights = hash_weights(pl_module.state_dict())
        members = [
            hash_weights(m.state_dict()) for m in getattr(pl_module, 'members', [])
        ]
        module: Any = pl_module
        settings = {
            'weights': [weights, *members],
            'contract': module.contract,
            'tta': bool(module.hparams.get('tta')),
            'precision': str(trainer.precision),
            'tiling': tiles.describe(),
            'versions': versions(),
        }
        arguments = [
            (
                self._path(tiles, i),
                Grid(scene.height, scene.width, scene.crs, scene.transform),
                module.scheme,
                self.layers,
                settings | describe_scene(scene),
            )
            for i, scene in enumerate(tiles.scenes)
        ]
        _check_paths([path for path, *_ in arguments], tiles)
        if trainer.is_global_zero:
            opened = [open_parts(*a, overwrite=self.overwrite) for a in arguments]
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            opened = [join_parts(*a) for a in arguments]
        return opened

    def _path(self, tiles: SceneTiles, index: int) -> Path:
        is_file = self.output.suffix and not self.output.is_dir()
        if is_file and len(tiles.scenes) == 1:
            return self.output
        if is_file:
            raise ValueError(
                f'Expected a directory for the maps of {len(tiles.scenes)} scenes, got '
                f'{self.output}; choose another --out or --scene_maps.output.'
            )
        return self.output / f'{tiles.scenes[index].name}.tif'

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the task for logits."""
        vars(pl_module)['return_logits'] = True

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the tiles of a batch, and write the rows that they finish."""
        tiles = _tiles(trainer)
        step = tiles.steps[batch['step']]
        run = tiles.runs[step.run]
        values = outputs['logits'].float()
        if 'disagreement' in self.layers:
            values = torch.cat([values, outputs['disagreement'][:, None]], dim=1)
        rows, columns = tiles.rows[run.scene], tiles.columns[run.scene]
        if batch['step'] == 0 or step.run != tiles.steps[batch['step'] - 1].run:
            self._close()
            strip = Strip(rows, columns, values.shape[1], run.first)
            name = tiles.scenes[run.scene].name
            self.rows = RowWriter(self.parts[run.scene], strip, self.layers, name)
        assert self.rows is not None, 'the first batch of a run makes it'
        strip = self.rows.strip
        for column, tile in zip(step.columns, values.cpu(), strict=True):
            strip.add(step.row, column, tile)
        _, window = tiles.window(batch['step'])
        # What the batch before has finished is at work in a thread.
        new = Span(columns.finished[step.columns[0]].start, window.stop)
        strip.mark(step.row, new, batch['valid'].cpu()[:, new.within(window)])
        if step.row >= run.first:
            self.rows.finish(step.row, step.columns)

    def _close(self) -> None:
        """Have all rows written, and forget them."""
        rows, self.rows = self.rows, None
        if rows is not None:
            rows.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End the thread that writes rows."""
        rows, self.rows = self.rows, None
        if rows is not None:
            rows.abandon()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the maps of their rows, once all processes are done."""
        vars(pl_module).pop('return_logits', None)
        self._close()
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            scenes = _tiles(trainer).scenes
            self.paths = []
            for parts, scene in zip(self.parts, scenes, strict=True):
                check_unchanged(scene, parts.settings['sources'])
                taken = find_time(list_sources(scene), {})
                tags = make_tags(parts.settings)
                made = finish_map(parts, tags, taken, self.polygons)
                self.paths += made
                # Unlike the trainer's, this print leaves the progress bar alone.
                pl_module.print(f'Wrote {made[-1]}')
        trainer.strategy.barrier()


def _check_paths(paths: list[Path], tiles: SceneTiles) -> None:
    """Check that the files of maps replace neither each other's nor a scene's."""
    if len({*paths}) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(
            f'Expected a map of its own for each scene, got {twice} for two; rename '
            'the scenes, or map them one by one.'
        )
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


def make_tags(settings: dict[str, Any]) -> dict[str, str]:
    """Say in a map whose it is.

    Args:
        settings: What decided its content.

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


def _tiles(trainer: Trainer) -> SceneTiles:
    loaders: Any = trainer.predict_dataloaders
    return loaders.dataset


def _share(
    rows: list[tuple[int, int]], rank: int, num_processes: int
) -> list[tuple[int, int]]:
    """Return the consecutive rows of tiles that one of several processes does."""
    bounds = [len(rows) * i // num_processes for i in (rank, rank + 1)]
    return rows[slice(*bounds)]


def _find_runs(rows: Sequence[tuple[int, int]]) -> list[Run]:
    """Join rows of tiles that follow each other in one scene."""
    runs: list[Run] = []
    for scene, row in rows:
        if runs and (runs[-1].scene, runs[-1].last + 1) == (scene, row):
            runs[-1] = Run(scene, runs[-1].first, row)
        else:
            runs.append(Run(scene, row, row))
    return runs
