"""Writing the maps of whole scenes, row by row."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ..samplers.tiling import Span
from .maps import Parts, find_time, finish_map
from .outputs import Weights, make_tags, open_maps, place_maps
from .row_writer import RowWriter
from .sources import check_unchanged, list_sources
from .strips import Strip
from .tiles import Run, SceneTiles


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
            TypeError: If the task does not say what its bands and classes are.
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
        # Weights of a checkpoint are loaded into these tensors; a precision that rounds
        # them, or another device, makes new ones.
        weights = pl_module.state_dict()
        # Not now: whose rows there may be is known once they are loaded, before the
        # loader is made.
        datamodule.narrow = partial(self._narrow, trainer, pl_module, weights)

    def _narrow(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        weights: Weights,
        tiles: SceneTiles,
    ) -> SceneTiles:
        """Keep the tiles that this process has to predict."""
        paths = place_maps(self.output, tiles)
        self.parts = open_maps(
            paths, tiles, self.layers, trainer, pl_module, weights, self.overwrite
        )
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
            # Now that all maps are there: without its rows, one could not be gone
            # on with beside another that is not.
            for parts in self.parts:
                parts.remove()
        trainer.strategy.barrier()


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
