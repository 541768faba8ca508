"""Callback that writes the maps of whole scenes, row by row."""

import re
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xxhash
from lightning.pytorch import Callback, LightningModule, Trainer

from ..io.addresses import find_state, hide_secrets, is_address
from ..io.scenes import Scene
from ..models.contract import Weights, describe_network, versions
from ..samplers.tiling import Span
from .maps import MapRows, find_time, finish_map, join_rows, list_outputs, open_rows
from .strips import RowWriter, Strip
from .tiles import RowRun, SceneTiles

#: What other programs write beside a scene without changing its numbers.
_ASIDE = ('.aux.xml', '.ovr')

#: Number of servers' answers that are waited for at once.
_MOST_ASKED = 8

#: Bytes of the longest virtual raster that is looked into.
_MAX_VRT = 1 << 24

#: What is looked at of a file, by name.
type _State = dict[str, int | str]


class SceneMapWriter(Callback):
    """Write a map of each scene; a run that was stopped is resumed.

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
        self.maps: list[MapRows] = []
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
        # Not now: rows are compared by these weights once they are loaded, before the
        # loader is made.
        datamodule.select_pending = partial(
            self._select_pending, trainer, pl_module, weights
        )

    def _select_pending(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        weights: Weights,
        tiles: SceneTiles,
    ) -> SceneTiles:
        """Keep the tiles that this process has to predict."""
        paths = place_maps(self.output, tiles)
        self.maps = open_maps(
            paths, tiles, self.layers, trainer, pl_module, weights, self.overwrite
        )
        missing = [
            (i, row)
            for i, (map_rows, rows) in enumerate(
                zip(self.maps, tiles.rows, strict=True)
            )
            for done in [map_rows.done()]
            for row, span in enumerate(rows.finished)
            if (span.start, span.stop) not in done
        ]
        trainer.strategy.barrier()  # until all have seen what is done
        own = _divide(missing, trainer.global_rank, trainer.world_size)
        # No process can do without a batch, so it does the last rows once more.
        last = (len(tiles.scenes) - 1, len(tiles.rows[-1].finished) - 1)
        return tiles.select(_find_runs(own or [last]))

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
            self.rows = RowWriter(self.maps[run.scene], strip, self.layers, name)
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
        """End the thread that writes rows, and let other runs make the maps."""
        rows, self.rows = self.rows, None
        if rows is not None:
            rows.abandon()
        for each in self.maps:
            each.record.unlock()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the maps of their rows, once all processes are done."""
        vars(pl_module).pop('return_logits', None)
        self._close()
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            scenes = _tiles(trainer).scenes
            self.paths = []
            for rows, scene in zip(self.maps, scenes, strict=True):
                check_unchanged(scene, rows.settings['sources'])
                taken = find_time(list_sources(scene), {})
                tags = make_tags(rows.settings, scene)
                made = finish_map(rows, tags, taken, self.polygons)
                self.paths += made
                # Unlike the trainer's, this print leaves the progress bar alone.
                pl_module.print(f'Wrote {made[-1]}')
            # Now that all maps are there: without its rows, one could not be resumed
            # beside another that is not finished.
            for rows in self.maps:
                rows.remove()
        trainer.strategy.barrier()


def _tiles(trainer: Trainer) -> SceneTiles:
    loaders: Any = trainer.predict_dataloaders
    return loaders.dataset


def _divide(
    rows: list[tuple[int, int]], rank: int, num_processes: int
) -> list[tuple[int, int]]:
    """Return the consecutive rows of tiles that one of several processes does."""
    bounds = [len(rows) * i // num_processes for i in (rank, rank + 1)]
    return rows[slice(*bounds)]


def _find_runs(rows: Sequence[tuple[int, int]]) -> list[RowRun]:
    """Join rows of tiles that follow each other in one scene."""
    runs: list[RowRun] = []
    for scene, row in rows:
        if runs and (runs[-1].scene, runs[-1].last + 1) == (scene, row):
            runs[-1] = RowRun(scene, runs[-1].first, row)
        else:
            runs.append(RowRun(scene, row, row))
    return runs


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
) -> list[MapRows]:
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
    # What decides the content of a map, beside its scene and its layers.
    settings = {
        **describe_network(trainer, pl_module, weights),
        'tiling': tiles.describe(),
        'versions': versions(),
    }
    arguments = [
        (path, scene.grid, module.scheme, layers, settings | describe_scene(scene))
        for path, scene in zip(paths, tiles.scenes, strict=True)
    ]
    opened: list[MapRows] = []
    if trainer.is_global_zero:
        try:
            for each, scene in zip(arguments, tiles.scenes, strict=True):
                found = [finding.to_json() for finding in scene.findings]
                opened.append(open_rows(*each, overwrite, found))
        except BaseException:
            for rows in opened:
                rows.record.unlock()
            raise
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        opened = [join_rows(*each) for each in arguments]
    return opened


def make_tags(settings: dict[str, Any], scene: Scene) -> dict[str, str]:
    """Make the tags of a map: weights, version, contract, tiling, TTA and findings.

    Args:
        settings: Those of its rows, see :func:`open_maps`.
        scene: Its scene, whose findings are told.

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
    } | ({'findings': '\n'.join(map(str, scene.findings))} if scene.findings else {})


def describe_scene(scene: Scene) -> dict[str, Any]:
    """State what is read, so that rows of other images are never mixed with it.

    Args:
        scene: The scene.

    Returns:
        Plain values, which differ once a file has changed.
    """
    files = [path for path in list_files(scene) if not path.endswith(_ASIDE)]
    with ThreadPoolExecutor(_MOST_ASKED) as servers:
        states = list(servers.map(_state, files))
    sources: dict[str, _State | None] = {}
    for path, state in zip(map(hide_secrets, files), states, strict=True):
        # A query can be what tells two files from each other.
        number = sum(name.partition(' (')[0] == path for name in sources) + 1
        sources[path if number == 1 else f'{path} ({number})'] = state
    return {'sources': sources, 'notes': list(scene.notes)}


def _place(path: str) -> Path | None:
    """Find a file, or the archive that it is in; None if it is not on a disk."""
    inner = Path(re.sub(r'^(/vsi(zip|tar|gzip|cached)/)+', '', path))
    return next((p for p in (inner, *inner.parents) if p.is_file()), None)


def _state(path: str) -> _State | None:
    """Size and time of a file, in bytes and seconds, as ``touch -d @`` takes these.

    A file on a server has what that says of it. A virtual raster of signed addresses
    has a checksum: it is written anew for each signature.
    """
    if (place := _place(path)) is None:
        return find_state(path)
    if place.suffix.lower() == '.vrt' and place.stat().st_size <= _MAX_VRT:
        text = place.read_text(encoding='utf-8', errors='replace')
        if (plain := hide_secrets(text)) != text:
            return {'unsigned': xxhash.xxh3_64_hexdigest(plain.encode())}
    stat = place.stat()
    seconds, rest = divmod(stat.st_mtime_ns, 10**9)
    return {'size': stat.st_size, 'time': f'{seconds}.{rest:09d}'}


def check_unchanged(scene: Scene, before: Mapping[str, _State | None]) -> None:
    """Check that no file of a scene was written to while it was read.

    Where the time of a file alone has changed, only reading it again could tell whether
    its content has, and only if it had been read before as well: that is left to people.

    Args:
        scene: The scene.
        before: The ``'sources'`` of :func:`describe_scene` before.

    Raises:
        RuntimeError: If one was; the message says whether finished rows are of use.
    """
    now = describe_scene(scene)['sources']
    changed = [
        path
        for path, state in now.items()
        # A server may give no answer, as when a signature has expired.
        if state != before.get(path) and not (state is None and is_address(path))
    ]
    if not changed:
        return
    start = f'Expected {changed[0]} to stay as it is while it is mapped, got'
    anew = (
        'map it again with --overwrite or --scene_maps.overwrite true, which makes all '
        'rows anew.'
    )
    # Bands in one archive have one time.
    touches = (_touch(path, before.get(path), now[path]) for path in changed)
    commands = list(dict.fromkeys(touches))
    if None in commands:
        raise RuntimeError(f'{start} a file that has changed since; {anew}')
    raise RuntimeError(
        f'{start} another time of change; nothing says whether its content is the same. '
        f'If it is, give it back its time ({" && ".join(map(str, commands))}) '
        f'and run the same command again, which keeps the rows done. Else {anew}'
    )


def _touch(path: str, before: _State | None, now: _State | None) -> str | None:
    """Return the command that undoes a change of the time alone."""
    is_local = before and now and 'time' in before and 'time' in now
    if not is_local or before['size'] != now['size']:
        return None
    return f'touch -d @{before["time"]} {shlex.quote(str(_place(path)))}'


def list_sources(scene: Scene) -> list[str]:
    """List what is opened.

    Args:
        scene: The scene.

    Returns:
        Their paths, each once.
    """
    files = [reader.file for reader in scene.readers]
    paths = (f.parts if f.address.startswith('<') else (f.path,) for f in files)
    return list(dict.fromkeys(path for own in paths for path in own))


def list_files(scene: Scene) -> list[str]:
    """List the sources and what they are made of: files of a .vrt, a mask beside.

    Args:
        scene: The scene.

    Returns:
        Their paths as GDAL opens them, with signatures, each once.
    """
    files = [reader.file for reader in scene.readers]
    paths = [path for f in files for path in (f.address, *f.parts)]
    paths = [path for path in paths if not path.startswith('<')]  # joined pieces
    # GDAL lists an address in its own form.
    return list(dict.fromkeys(path.removeprefix('/vsicurl/') for path in paths))
