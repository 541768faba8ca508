"""Interrupt every verb at random moments, and compare what the resumed runs give.

Each round ends a run by SIGKILL, SIGTERM, SIGINT or a limit on the size of files, which
acts as a full disk, at a moment that its seed draws; then the same command is run until
it succeeds. The files, and weights with their momenta, must be those of a run that
nothing disturbed, bit for bit. The temporary folder lies on another file system where
there is one.

    python scripts/torture.py --rounds 20 --seed 0
    python scripts/torture.py --verbs fit --rounds 1 --seed 17  # one round again
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from dfc2020_geo.main import main
from dfc2020_geo.synthetic import (
    SceneFiles,
    write_scene,
    write_sen12ms,
    write_unlabeled,
)

#: What ends a run.
SIGNALS = {'kill': signal.SIGKILL, 'term': signal.SIGTERM, 'int': signal.SIGINT}
EVENTS = (*SIGNALS, 'disk')

#: Times that a round ends the run before it may finish.
MOST_ENDS = 3

#: Seconds after which a run counts as hanging.
HANGING = 300

#: What a run keeps for itself while it is not finished, and where it writes its log.
OWN = ('run.', '.')

_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(['dfc2020_geo.cli.stages'])


@dataclass(frozen=True)
class Inputs:
    """Small data and a network, made once.

    Attributes:
        root: Folder of all.
        checkpoint: The network.
        scene: A scene.
    """

    root: Path
    checkpoint: Path
    scene: SceneFiles

    def command(self, verb: str) -> list[str]:
        """Return the command line that is ended and resumed."""
        ckpt = f'--ckpt={self.checkpoint}'
        machine = ['--trainer.accelerator=cpu', '--data.num_workers=0']
        if verb == 'fit':
            return ['fit', f'--config={self.root / "fit.yaml"}', '--ckpt=last']
        if verb == 'predict':
            root = f'--data.unlabeled_root={self.root / "unlabeled"}'
            layers = '--class_maps.probabilities=true'
            return ['predict', ckpt, root, layers, *machine, '--data.batch_size=1']
        if verb == 'map':
            s2, s1 = self.scene.s2, self.scene.s1
            flags = ['--layers', 'confidence', '--data.size=64', '--data.overlap=16']
            return ['map', ckpt, f'--s2={s2}', f'--s1={s1}', *flags, *machine[:1]]
        source = f'--root={self.root / "sen12ms"}'
        return ['pack', source, '--out=pack', '--shard_size=60KB', '--workers=1']


def make_inputs(root: Path) -> Inputs:
    """Write the data, and train a small network for a step."""
    write_sen12ms(root / 'sen12ms', size=32, patches_per_scene=2)
    write_unlabeled(root / 'unlabeled', size=32, num_patches=6)
    files = write_scene(root / 'scene', shape=(200, 90))
    step = {'filename': '{step}', 'save_top_k': -1, 'every_n_train_steps': 5}
    saving = {
        'class_path': 'lightning.pytorch.callbacks.ModelCheckpoint',
        'init_args': step | {'save_on_train_epoch_end': False},
    }
    config = {
        'seed_everything': 3,
        'data': {
            'sen12ms_root': str(root / 'sen12ms'),
            'val': 'sen12ms_holdout',
            'batch_size': 2,
            'num_workers': 0,
            'bands': ['s2-10m', 's1'],
            'augmentations': [{'class_path': 'dfc2020_geo.transforms.RandomD4'}],
        },
        'model': {'init_args': {'model': 'fcn', 'num_filters': 4, 'lr': 0.01}},
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 6,
            'logger': False,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'callbacks': [saving],
        },
    }
    (root / 'fit.yaml').write_text(yaml.safe_dump(config))
    inputs = Inputs(root, root / 'model' / 'checkpoints' / 'step=5.ckpt', files)
    command = [*inputs.command('fit'), '--trainer.max_epochs=null']
    status, log, _ = run([*command, '--trainer.max_steps=5'], root / 'model')
    assert status == 0, log
    return inputs


def run(
    command: Sequence[str],
    folder: Path,
    event: str | None = None,
    delay: float = 0,
    limit: int = 0,
) -> tuple[int | None, str, float]:
    """Run a command in a folder, and end it if asked for.

    Args:
        command: Command line after the program.
        folder: Working directory.
        event: What ends it; None to leave it alone.
        delay: Seconds before a signal is sent.
        limit: Bytes that no file may exceed, for the event ``'disk'``.

    Returns:
        Exit status, what it said, and seconds.

    Raises:
        TimeoutError: If it hangs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f'{folder.name}.log'
    size = limit if event == 'disk' else None
    log.unlink(missing_ok=True)
    start = time.monotonic()
    process = _CONTEXT.Process(target=_work, args=([*command], folder, log, size))
    process.start()
    if event in SIGNALS:
        process.join(delay)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, SIGNALS[event])
    process.join(HANGING)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f'Expected an end within {HANGING} s of {command}.')
    seconds = time.monotonic() - start
    said = log.read_text(errors='replace') if log.exists() else ''
    return process.exitcode, said, seconds


def _work(command: list[str], folder: Path, log: Path, limit: int | None) -> None:
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if Path('/dev/shm').is_dir():
        tempfile.tempdir = '/dev/shm'
    torch.set_num_threads(1)
    with log.open('w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    main(command)


def describe(folder: Path, verb: str) -> dict[str, str]:
    """Return a checksum of all that a finished run has given, by name.

    Of a training these are the weights and momenta after its last step.
    """
    if verb == 'fit':
        steps = {}
        for path in folder.rglob('*.ckpt'):
            content = torch.load(path, weights_only=True)
            steps[content['global_step']] = content
        last = steps[max(steps)]
        found = {'step': str(max(steps))}
        tensors = dict(last['state_dict'])
        for i, moments in last['optimizer_states'][0]['state'].items():
            tensors |= {f'{i}.{name}': value for name, value in moments.items()}
        return found | {
            name: hashlib.sha256(value.numpy().tobytes()).hexdigest()
            for name, value in tensors.items()
        }
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and not path.name.startswith(OWN)
    }


def torture(inputs: Inputs, verb: str, seed: int, work: Path, whole: Path) -> str:
    """Run one round.

    Args:
        inputs: Data and network.
        verb: The verb.
        seed: Seed of what ends the run, and when.
        work: Folder to work in.
        whole: Folder of the run that nothing disturbed, with its time.

    Returns:
        What was done, and how it went; it begins with ``'ok'`` if all is the same.
    """
    draw = random.Random(f'{verb} {seed}')
    seconds = float((whole.parent / f'{whole.name}.seconds').read_text())
    folder = work / f'{verb}_{seed}'
    shutil.rmtree(folder, ignore_errors=True)
    told: list[str] = []
    status: int | None = None
    said = ''
    for _ in range(draw.randint(1, MOST_ENDS)):
        event = draw.choice(EVENTS)
        delay, limit = draw.uniform(0, seconds), int(10 ** draw.uniform(2, 5))
        status, said, _ = run(inputs.command(verb), folder, event, delay, limit)
        moment = f'{limit} B' if event == 'disk' else f'{delay:.2f} s'
        told.append(f'{event} {moment} -> {status}')
        if event != 'kill' and status == 1 and 'Traceback' in said:
            return f'FAILED with a traceback ({", ".join(told)}): {said[-1500:]}'
        if status == 0:
            break
    if status:
        status, said, _ = run(inputs.command(verb), folder)
    if status:
        return f'FAILED to resume ({", ".join(told)}): {said[-1500:]}'
    expected, found = describe(whole, verb), describe(folder, verb)
    if found != expected:
        names = sorted(
            name
            for name in expected.keys() | found.keys()
            if expected.get(name) != found.get(name)
        )
        return f'FAILED: {", ".join(told)}; others are {", ".join(names[:5])}'
    shutil.rmtree(folder)
    return f'ok: {", ".join(told)}'


def torture_all(verbs: Sequence[str], rounds: int, seed: int, work: Path) -> int:
    """Run all rounds, and print each with its seed.

    Returns:
        Number of rounds that went wrong.
    """
    inputs = make_inputs(work / 'inputs')
    failed = 0
    for verb in verbs:
        whole = work / f'{verb}_whole'
        status, said, seconds = run(inputs.command(verb), whole)
        if status:
            raise RuntimeError(f'Expected {verb} to run, got {status}: {said[-1500:]}')
        (work / f'{whole.name}.seconds').write_text(str(seconds))
        for number in range(seed, seed + rounds):
            result = torture(inputs, verb, number, work, whole)
            failed += not result.startswith('ok')
            print(f'{verb} --seed {number}: {result}', flush=True)
    print(f'{failed} of {rounds * len(verbs)} rounds went wrong')
    return failed


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ('fit', 'predict', 'map', 'pack')
    parser.add_argument('--verbs', nargs='+', choices=names, default=names)
    parser.add_argument('--rounds', type=int, default=10, help='of each verb')
    parser.add_argument('--seed', type=int, default=0, help='of the first round')
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        status = torture_all(chosen.verbs, chosen.rounds, chosen.seed, Path(name))
    sys.exit(bool(status))
