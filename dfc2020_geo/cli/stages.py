"""The stages fit, validate, test and predict, as a LightningCLI."""

import json
import logging
import os
import sys
import traceback
import warnings
from argparse import ArgumentError
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import isroutine
from pathlib import Path
from pydoc import locate
from typing import Any

import lightning
from jsonargparse import Namespace, get_loader, set_loader
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torchgeo.datamodules import BaseDataModule
from yaml import YAMLError

from ..callbacks import (
    ClassMapWriter,
    PatchWriter,
    PreviewWriter,
    SaveConfig,
    SaveLast,
    ScoreWriter,
)
from ..datamodules import LandCoverDataModule
from ..datamodules.named_sets import SETS
from ..inference import SceneDataModule, SceneMapWriter, run_maps
from ..io.addresses import hide_secrets
from ..models.contract import CONTRACT_KEY, SHARED_FACTS, public_path
from ..tasks import AtomicCheckpointIO, LandCoverSegmentation
from ..tasks.checkpoints import find_newest
from ..tasks.trust import MAKERS, check_arguments, find_task
from .conflicts import (
    check_facts,
    check_folders,
    check_lr,
    check_numbers,
    check_shared_facts,
)
from .help import describe_settings, shorten, suggest
from .settings import (
    CONFIG_FORMAT,
    CONFIG_HEADER,
    LIGHTNINGS_CHOICES,
    Setting,
    find_setting,
    read_settings,
    require_bounded,
    resolve_configs,
    take_flag,
    write_renamed,
)
from .usage import UsageError

#: Errors of the command line are raised, for one line in place of the whole usage.
_PARSER: dict[str, Any] = {
    'exit_on_error': False,
    'allow_abbrev': False,
    'prog': 'dfc2020-geo',
    'dump_header': [
        f'lightning.pytorch=={lightning.__version__}',
        f'{CONFIG_HEADER} {CONFIG_FORMAT}',
    ],
}

#: Writers of each kind of data, made for it alone, by the group of their settings.
_PATCH_WRITERS: dict[str, type[Callback]] = {
    'class_maps': ClassMapWriter,
    'previews': PreviewWriter,
    'scores': ScoreWriter,
}
_SCENE_MAPS = 'scene_maps'

#: The parser's own loader of YAML, which knows no bounds.
_load_unbounded = get_loader('yaml')

#: Settings of the machine, which a refusal that names none is about.
_MACHINE = ('trainer.accelerator', 'trainer.devices', 'trainer.strategy')

#: Where Lightning's code is.
_LIGHTNING = tuple(lightning.__path__)

#: Flags that the parser's help leaves out.
_FLAGS = """
flags of every stage:
  --ckpt FILE
      The checkpoint; the same as --ckpt_path.
  --trust NAME
      A class that the checkpoint may have imported and called, by its dotted name;
      may be repeated. Without it only those of this package and torch's optimisers are."""

#: Whose arguments the settings of each group are.
_GROUPS: dict[str, type] = {
    'data': LandCoverDataModule,
    'model': LandCoverSegmentation,
    'trainer': Trainer,
}


class LandCoverCLI(LightningCLI):
    """LightningCLI that states facts once and takes a checkpoint at its word.

    Bands, class scheme and the treatment of NaN stand under ``data``; the model
    follows. What a checkpoint says counts before defaults; configs and flags count
    before the checkpoint, but cannot change what the network was trained for.

    A checkpoint is data: nothing that it names is imported or called, but optimisers
    and schedules of torch when training is resumed. Configs and flags name classes,
    never functions.
    """

    def __init__(
        self, args: Sequence[str] | None = None, trust: Collection[str] = ()
    ) -> None:
        """Parse a command line, and run its stage.

        Args:
            args: Command line without the program; by default the program's own.
            trust: Dotted names of classes that the checkpoint may have imported and
                called, beside those of ``--trust`` and the task that the user names.

        Raises:
            UsageError: If the command line is not understood, or settings contradict
                each other or the checkpoint.
            ValueError: If the checkpoint or a setting names what may not be called.
        """
        given, trusted = take_flag(sys.argv[1:] if args is None else args, '--trust')
        self.args = resolve_configs(given)
        _quieten_libraries(is_training='fit' in self.args[:1])
        self.settings = read_settings(self.args)
        # In the files that configs and flags name, too.
        set_loader('yaml', _load_bounded, (YAMLError,))
        self.trusted = (*trust, *trusted, *_named_tasks(self.settings))
        self.checkpoints = AtomicCheckpointIO()
        super().__init__(
            model_class=LandCoverSegmentation,
            datamodule_class=BaseDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            parser_kwargs=_PARSER | dict.fromkeys(self.subcommands(), _PARSER),
            save_config_callback=SaveConfig,
            auto_configure_optimizers=False,
            args=write_renamed(self.args),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the writers, and hand the data's facts to the model."""
        parser.set_defaults(
            {
                'model': {'class_path': public_path(LandCoverSegmentation)},
                'data': {'class_path': public_path(LandCoverDataModule)},
            }
        )
        for name in SHARED_FACTS:
            parser.link_arguments(f'data.init_args.{name}', f'model.init_args.{name}')
        writers = {**_PATCH_WRITERS, _SCENE_MAPS: SceneMapWriter}
        for group, writer in sorted(writers.items()):
            parser.add_class_arguments(
                writer, group, fail_untyped=False, instantiate=False, sub_configs=True
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with whole checkpoints and the writers for its data."""
        trainer = super().instantiate_trainer(**kwargs)
        has_scenes = isinstance(self.datamodule, SceneDataModule)
        others = PatchWriter if has_scenes else SceneMapWriter
        kept = [c for c in vars(trainer)['callbacks'] if not isinstance(c, others)]
        vars(trainer)['callbacks'] = kept
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = self.checkpoints
        return trainer

    def _instantiate_trainer(
        self, config: dict[str, Any], callbacks: list[Callback]
    ) -> Trainer:
        """Make the trainer, with the writers of patches unless there are scenes."""
        if self.subcommand == 'fit':
            callbacks.append(SaveLast())
        if not isinstance(self.datamodule, SceneDataModule):
            for group, writer in _PATCH_WRITERS.items():
                callbacks.append(writer(**self._get(self.config_init, group)))
        return super()._instantiate_trainer(config, callbacks)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line; with a checkpoint, on top of what that says."""
        check_shared_facts(self.settings)
        check_lr(self.settings)
        check_folders(self.settings)
        stage, *rest = args
        path = self._find_checkpoint(stage)
        if path is None:
            self._parse(parser, args)
            return
        checkpoint = self.checkpoints.read(path)
        settings = json.dumps(self._read_arguments(checkpoint, stage, path))
        # The first config counts least: after it come the user's, and the flags.
        self._parse(parser, [stage, f'--config={settings}', *rest], path)
        contract = checkpoint[CONTRACT_KEY]
        check_facts(self.config[stage], contract, path, self.settings)
        if stage == 'predict':
            trainer = self.config[stage].trainer
            if not find_setting(self.settings, 'trainer.logger'):
                trainer.logger = False  # there is nothing to log
            if not trainer.logger:
                self.save_config_callback = None  # there is no directory for it
        # Its weights come from the checkpoint: nothing else is to be loaded.
        self.config[stage].model.init_args.weights = None

    def _find_checkpoint(self, stage: str) -> str | None:
        """Return the path of the checkpoint; only training can do without."""
        said = find_setting(self.settings, 'ckpt_path')
        path = None if said is None or said.value is None else str(said.value)
        if stage == 'fit':
            return None if path in LIGHTNINGS_CHOICES else path
        if not path and not {'-h', '--help'} & {*self.args}:
            raise UsageError(
                f'Expected the checkpoint to {stage} with, got none; add --ckpt FILE.'
            )
        return path

    def _read_arguments(
        self, checkpoint: Mapping[str, Any], stage: str, path: str
    ) -> dict[str, Any]:
        """Return what a checkpoint says of data and model, in the form of a config."""
        unused = ('_instantiator', *(() if stage == 'fit' else MAKERS))
        saved = checkpoint['hyper_parameters']
        arguments = {k: v for k, v in saved.items() if k not in unused}
        if missing := [name for name in SHARED_FACTS if name not in arguments]:
            raise ValueError(
                f'Expected a checkpoint with the arguments of its task, got {path} '
                f'without {", ".join(missing)}; save it with a Trainer.'
            )
        task = find_task(arguments, LandCoverSegmentation, self.trusted)
        check_arguments(arguments, task, self.trusted)
        arguments.pop('_class_path', None)
        model = {'class_path': public_path(task)}
        shared = {name: arguments.pop(name) for name in SHARED_FACTS}
        return {
            'model': model | {'init_args': arguments},
            'data': {'init_args': shared},
        }

    def before_instantiate_classes(self) -> None:
        """Refuse functions, which a parser would call, and data that are not there.

        Raises:
            FileNotFoundError: If weights are to be fetched for data that are missing.
            ValueError: If a function is named where a class is expected.
        """
        if self.subcommand == 'fit':
            _require_roots(self.config['fit'])
        for name, value in _walk(self.config[str(self.subcommand)], ''):
            is_path = name.rpartition('.')[2] == 'class_path'
            found = locate(value) if is_path else value
            argument = name.removesuffix('.class_path').replace('.init_args', '')
            base = MAKERS.get(argument.rpartition('.')[2], object)
            is_class = isinstance(found, type) and issubclass(found, base)
            if isroutine(found) or (is_path and not is_class):
                names = (value, f'{found.__module__}.{getattr(found, "__name__", "")}')
                said = [
                    f' in {s.origin}'
                    for s in self.settings
                    if any(text in names for _, text in _walk(s.value, ''))
                ]
                expected = (
                    'a class' if base is object else f'a class of {base.__name__}'
                )
                raise ValueError(
                    f'Expected {expected} for {argument}, got {names[not is_path]}'
                    f'{said[-1] if said else ""}; functions are not called.'
                )

    def _parse(
        self, parser: LightningArgumentParser, args: list[str], checkpoint: str = ''
    ) -> None:
        """Parse a command line; say of a wrong setting where it stands."""
        try:
            self.config = parser.parse_args(args)
            check_numbers(self.config[args[0]], self.settings)
        except ArgumentError as error:
            message = shorten(str(error))
            places = {
                said.origin: said.name
                for said in self.settings
                if f"'{said.name.rpartition('.')[2]}'" in message
                or f'--{said.name}' in message.replace('=', ' ').split()
            }
            origins = sorted(places) or [f'the checkpoint {checkpoint}'] * bool(
                checkpoint
            )
            where = f' (in {", ".join(origins)})' if origins else ''
            hint = suggest(places.values(), _GROUPS)
            raise UsageError(message + where + hint) from error
        except SystemExit:
            if {'-h', '--help'} & {*args}:
                print(_FLAGS)
                print(describe_settings(LandCoverDataModule, LandCoverSegmentation))
            raise

    @contextmanager
    def _explaining(self) -> Generator[None]:
        """Say of what Lightning refuses which settings it is about."""
        try:
            yield
        except Exception as error:
            refusal: BaseException = error
            while refusal.__cause__ is not None:  # as the parser wraps it
                refusal = refusal.__cause__
            if not _is_lightnings(refusal):
                raise
            reason = shorten(str(refusal)).rstrip('.!')
            named = [
                said
                for said in self.settings
                if said.name.startswith('trainer.')
                and (
                    said.name.rpartition('.')[2] in reason
                    or (isinstance(said.value, str) and said.value in reason)
                )
            ] or [s for s in self.settings if s.name in _MACHINE]
            told = ', '.join(f'{s.name}={s.value} ({s.origin})' for s in named)
            raise UsageError(
                'Expected settings of the trainer that it and this machine can do, got '
                f'{told or "others"}; Lightning says: {reason}.'
            ) from error

    def instantiate_classes(self) -> None:
        """Make data, model and trainer; say of a refusal which settings it is about.

        Raises:
            UsageError: If Lightning refuses the settings, or the machine lacks what
                they ask for.
        """
        with self._explaining():
            super().instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        """Run a stage; say of what Lightning refuses which settings it is about."""
        with self._explaining():
            super()._run_subcommand(subcommand)

    def _parse_ckpt_path(self) -> None:
        """Leave the checkpoint to :meth:`parse_arguments`.

        Lightning would let its hyperparameters override configs and flags.
        """

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        """Train; ``ckpt_path=last`` is the newest whole checkpoint of the run."""
        if kwargs.get('ckpt_path') == 'last':
            kwargs['ckpt_path'] = find_newest(self.trainer)
        self.trainer.fit(model, **kwargs)

    def after_fit(self) -> None:
        """Say where the trained network is."""
        checkpoint: Any = self.trainer.checkpoint_callback
        for path in ('best_model_path', 'last_model_path'):
            if name := getattr(checkpoint, path, ''):
                self.trainer.print(f'Wrote {os.path.relpath(name)}')

    def predict(self, **kwargs: Any) -> None:
        """Predict without keeping every prediction in memory.

        Raises:
            RuntimeError: If scenes were left out, after the maps of the others.
        """
        kwargs['return_predictions'] = False
        if isinstance(self.datamodule, SceneDataModule):
            writer = SceneMapWriter(**self._get(self.config_init, _SCENE_MAPS))
            run_maps(self.trainer, writer, **kwargs)
            if left_out := self.datamodule.left_out:
                reasons = '; '.join(f'{name}: {why}' for name, why in left_out.items())
                raise RuntimeError(
                    f'Left out {len(left_out)} of the scenes, the maps of the others '
                    f'are written. {reasons}'
                )
            return
        callbacks: list[Any] = vars(self.trainer)['callbacks']
        for callback in callbacks[:]:
            if isinstance(callback, PreviewWriter) and callback.max_previews == 0:
                callbacks.remove(callback)  # so no directory is made either
        self.trainer.predict(**kwargs)

    def test(self, **kwargs: Any) -> None:
        """Test without a second table of the scores."""
        kwargs['verbose'] = False
        self.trainer.test(**kwargs)

    def validate(self, **kwargs: Any) -> None:
        """Validate without a second table of the scores."""
        kwargs['verbose'] = False
        self.trainer.validate(**kwargs)


def _quieten_libraries(is_training: bool) -> None:
    """Leave out what libraries say of themselves and nobody can act on."""
    # Lightning 2.6 with PyTorch 2.14: a deprecation between the two.
    warnings.filterwarnings('ignore', message='`isinstance.treespec, LeafSpec.`')
    # A checkpoint that is tested lies elsewhere than this run's would.
    warnings.filterwarnings('ignore', message='The dirpath has changed')
    if not is_training:  # only training goes on with the callbacks of a checkpoint
        warnings.filterwarnings('ignore', message='Be aware that when using .ckpt_path')
    # Nothing there is replaced: a checkpoint of the same name gets a number.
    warnings.filterwarnings('ignore', message='Checkpoint directory .* is not empty')
    # Its table of the network counts 32 bits for each number, whatever the precision.
    warnings.filterwarnings('ignore', message='Precision .* by the model summary')
    for name in ('lightning.pytorch.utilities.rank_zero', 'lightning.pytorch'):
        logging.getLogger(name).addFilter(
            lambda r: 'Tip: For seamless' not in str(r.msg)
        )
        logging.getLogger(name).addFilter(_hide_secrets)


def _hide_secrets(record: logging.LogRecord) -> bool:
    """Leave signatures out of what is logged, as of a checkpoint's address."""
    record.msg, record.args = hide_secrets(record.getMessage()), None
    return True


def _require_roots(config: Namespace) -> None:
    """Miss folders of data before weights are fetched."""
    data = config.data.init_args
    if not config.model.init_args.get('weights'):
        return
    for split in ('train', 'val'):
        chosen = SETS.get(str(data.get(split)))
        flag = f'{chosen.data}_root' if chosen else ''
        flag = 'val_root' if split == 'val' and data.get('val_root') else flag
        root = data.get(flag) if flag else None
        is_url = '://' in str(root)
        if root is not None and not is_url and not Path(root).expanduser().exists():
            raise FileNotFoundError(
                f'Expected {data.get(split)} in {root}, got no such folder; '
                f'--data.{flag} is its root, --data.{split} names another set.'
            )


def _load_bounded(text: str) -> Any:
    require_bounded(text)
    return _load_unbounded(text)


def _is_lightnings(error: BaseException) -> bool:
    """Say whether Lightning raised an error itself, to refuse what it was told."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    frame = frames[-1]
    raised = (frame.line or '').startswith('raise ')
    is_inside = any(Path(place) in Path(frame.filename).parents for place in _LIGHTNING)
    return is_inside and raised


def _named_tasks(settings: Sequence[Setting]) -> list[str]:
    """Return the tasks that a user names in flags and configs."""
    named = (s.value for s in settings if s.name in ('model', 'model.class_path'))
    return [value for value in named if isinstance(value, str)]


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each plain value of a parsed config under its dotted name."""
    if isinstance(value, (Namespace, Mapping)):
        pairs = vars(value) if isinstance(value, Namespace) else value
        for key, item in pairs.items():
            yield from _walk(item, f'{name}.{key}' if name else str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _walk(item, name)
    elif value is not None:
        yield name, value
