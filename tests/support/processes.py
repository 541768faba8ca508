"""Processes that begin without the seconds that imports take.

They are forked from one that has loaded the package and done nothing else. Two that
work together are what Lightning's own launcher begins, which tests/test_distributed.py
goes through.
"""

import contextlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

#: What a command is told, so that two processes share its work.
TOGETHER = ('--trainer.devices=2', '--trainer.strategy=ddp')

#: In place of ``spawn``: what a process is given is pickled, and nothing else is there.
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(['dfc2020_geo.cli.stages'])


def run_two(main: Callable[[list[str]], object], folder: Path, *args: str) -> None:
    """Run a command in two processes that meet; raise if one of them fails.

    Args:
        main: The command, a function of a module.
        folder: The working directory, which also keeps what the processes say.
        args: What the command is told besides :data:`TOGETHER`.
    """
    environment = os.environ | {'MASTER_ADDR': '127.0.0.1'}
    logs = [folder / f'rank_{rank}.log' for rank in range(2)]
    ranks = [
        CONTEXT.Process(
            target=_run,
            args=(
                main,
                [*args, *TOGETHER],
                log,
                environment | {'LOCAL_RANK': f'{rank}'},
            ),
        )
        for rank, log in enumerate(logs)
    ]
    for process in ranks:
        process.start()
    # Where one ends badly, the other one waits for it.
    while waiting := [p.sentinel for p in ranks if p.exitcode is None]:
        if not wait(waiting, timeout=240) or any(p.exitcode for p in ranks):
            break
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
        process.join()
    assert codes == [0, 0], '\n'.join(log.read_text()[-2000:] for log in logs)


def _run(
    main: Callable[[list[str]], object],
    args: list[str],
    log: Path,
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)
    rank_zero_only.rank = int(environment['LOCAL_RANK'])  # as if loaded just now
    os.chdir(log.parent)
    with (
        log.open('w') as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        try:
            main(args)
        except BaseException:
            traceback.print_exc()
            raise
