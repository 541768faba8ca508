import argparse
import builtins
import copyreg
import os
import pathlib
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfc2020_geo.baseline.pickles import MAX_SIZE, read_arguments, write_arguments
from tests.support import DATA

GENUINE = ('args_unet.pkl', 'args_deeplab.pkl')


def _write(folder: Path, content: bytes) -> Path:
    path = folder / 'args.pkl'
    path.write_bytes(content)
    return path


def _namespace(**values: Any) -> argparse.Namespace:
    return argparse.Namespace(**values)


@pytest.mark.parametrize('name', GENUINE)
def test_genuine_pickles_are_read_as_python_reads_them(name: str) -> None:
    expected = vars(pickle.loads((DATA / name).read_bytes()))
    assert read_arguments(DATA / name) == expected
    assert [type(v) for v in read_arguments(DATA / name).values()] == [
        type(v) for v in expected.values()
    ]


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_plain_values_of_every_protocol_are_read(protocol: int, tmp_path: Path) -> None:
    values = {
        'none': None,
        'flags': [True, False],
        'counts': [0, 255, 256, 65536, -1, 2**31, 2**63, -(2**70)],
        'rates': [0.5, -1e-300, float('inf')],
        'text': 'Zürich 東京',
        'long_text': 'x' * 300,
        'same': ['x' * 300, 'x' * 300],
        'nothing': [],
        'one': [7],
        **{f'many_{i}': i for i in range(300)},
    }
    path = _write(tmp_path, pickle.dumps(_namespace(**values), protocol))
    assert read_arguments(path) == values


class Running:
    """Runs a statement when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


class Reduced:
    """Pickled as a Namespace with arguments, a state, items or a setter."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


def _hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make the marker, and what the refusal names."""
    shell = f'touch {marker}'
    code = f'open({str(marker)!r}, "w").close()'
    system = Running(os.system, shell)
    name = f'{os.system.__module__}.system'
    cases = {
        f'system-{p}': (pickle.dumps(_namespace(lr=system), p), name) for p in range(6)
    }
    cases['system-0'] = cases['system-1'] = (
        cases['system-0'][0],
        'copy_reg._reconstructor',
    )
    text = f"S'{shell}'\n".encode()
    python = f'S{code!r}\n'.encode()
    chain = (
        b'\x80\x04\x8c\x08argparse\x8c\x2aNamespace.__init__.__globals__.__getitem__'
        b'\x93\x8c\x02_os\x85R.'
    )
    state = {'a': 1, '__setstate__': 'x'}
    return cases | {
        'bare system': (pickle.dumps(system, 2), name),
        'GLOBAL': (b'cos\nsystem\n(' + text + b'tR.', 'os.system'),
        'INST': (b'(' + text + b'ios\nsystem\n.', 'os.system'),
        'OBJ': (b'(cos\nsystem\n' + text + b'o.', 'os.system'),
        'STACK_GLOBAL': (
            b'\x80\x04\x8c\x02os\x8c\x06system\x93(' + text + b'tR.',
            'os.system',
        ),
        'memoised STACK_GLOBAL': (
            b'\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93(' + text + b'tR.',
            'os.system',
        ),
        'NEWOBJ': (pickle.dumps(Running(pathlib.PosixPath, '/x'), 4), 'pathlib'),
        'eval': (pickle.dumps(Running(builtins.eval, code), 4), 'builtins.eval'),
        'eval-2': (pickle.dumps(Running(builtins.eval, code), 2), '__builtin__.eval'),
        'exec in text': (
            b'c__builtin__\nexec\n(' + python + b'tR.',
            '__builtin__.exec',
        ),
        'copyreg': (
            pickle.dumps(Running(copyreg.add_extension, 'os', 'system', 240), 4),
            'copyreg.add_extension',
        ),
        'getattr': (
            pickle.dumps(Running(getattr, argparse.Namespace, '__init__'), 4),
            'builtins.getattr',
        ),
        'dotted name': (chain, 'argparse.Namespace.__init__.__globals__.__getitem__'),
        'module of argparse': (
            b'\x80\x04\x8c\x08argparse\x8c\x0a_os.system\x93(' + text + b'tR.',
            'argparse._os.system',
        ),
        'other class of argparse': (
            pickle.dumps(argparse.ArgumentError, 4),
            'argparse.ArgumentError',
        ),
        'module name with a newline': (
            b'\x80\x04\x8c\x03o\ns\x8c\x06system\x93.',
            r'o\\ns.system',
        ),
        'import in a tuple': (pickle.dumps(_namespace(a=(1, system)), 4), name),
        'numpy number': (pickle.dumps(_namespace(lr=np.float64(1)), 4), 'numpy'),
        'ordered': (pickle.dumps(OrderedDict(a=1), 2), 'collections.OrderedDict'),
        'set': (pickle.dumps(_namespace(a={1}), 4), 'EMPTY_SET'),
        'bytes': (pickle.dumps(_namespace(a=b'x'), 4), 'SHORT_BINBYTES'),
        'complex': (pickle.dumps(_namespace(a=1j), 4), 'builtins.complex'),
        'called with arguments': (
            pickle.dumps(Reduced(argparse.Namespace, (1,)), 4),
            'TUPLE1',
        ),
        'state for slots': (
            pickle.dumps(Reduced(argparse.Namespace, (), (None, state)), 4),
            'REDUCE',
        ),
        'state with a setter': (pickle.dumps(_namespace(**state), 4), '__setstate__'),
        'setter used': (
            (
                b'\x80\x04cargparse\nNamespace\n)\x81}\x8c\x0c__setstate__'
                b'cargparse\nNamespace\nsb}\x8c\x01a\x8c\x01bsb.'
            ),
            'damaged',
        ),
        'built class': (b'\x80\x04cargparse\nNamespace\n}\x8c\x01aNsb.', 'damaged'),
        'class': (pickle.dumps(argparse.Namespace, 4), 'type'),
        'tuple': (pickle.dumps(_namespace(a=(1,)), 4), 'TUPLE1'),
        'dict': (pickle.dumps({'lr': 0.1}, 4), 'dict'),
        'mapping inside': (pickle.dumps(_namespace(a={'b': 1}), 4), 'a of .*dict'),
        'list in a list': (pickle.dumps(_namespace(a=[[1]]), 4), 'a of .*list'),
        'namespace inside': (pickle.dumps(_namespace(a=_namespace()), 4), 'Namespace'),
        'name that is no name': (b'\x80\x02cargparse\nNamespace\n)\x81}K\x01Nsb.', '1'),
        'persistent': (b'Ptouch\n.', 'PERSID'),
        'persistent-2': (b'\x80\x02X\x01\x00\x00\x00xQ.', 'BINPERSID'),
        'EXT1': (b'\x80\x02\x82\xf0.', 'EXT1'),
        'EXT2': (b'\x80\x02\x83\xf0\x00.', 'EXT2'),
        'EXT4': (b'\x80\x02\x84\xf0\x00\x00\x00.', 'EXT4'),
        'far memo': (b'\x80\x02Nr\xff\xff\xff\x7f.', 'damaged'),
        'long text': (b'\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx.', 'damaged'),
        'long frame': (b'\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.', 'damaged'),
        'protocol 9': (b'\x80\x09N.', 'damaged'),
        'deep tuples': (b'\x80\x02)' + b'\x85' * 60000 + b'Nd.', 'TUPLE1'),
        'empty': (b'', 'damaged or something else'),
        'text': (b'lr: 0.1\n', 'damaged or something else'),
        'more behind': (pickle.dumps(_namespace(), 3) + b'x', 'more behind its end'),
        'huge': (pickle.dumps(_namespace(a='x' * MAX_SIZE), 4), '65536 bytes'),
    }


def test_nothing_of_a_hostile_pickle_runs(tmp_path: Path) -> None:
    marker = tmp_path / 'marker'
    copyreg.add_extension('os', 'system', 240)
    try:
        for case, (content, named) in _hostile(marker).items():
            path = _write(tmp_path, content)
            expected = r'^Expected a pickled argparse.Namespace .*, got .*args.pkl .*'
            with pytest.raises(ValueError, match=expected + named):
                print(case, read_arguments(path))
            assert not marker.exists(), case
    finally:
        copyreg.remove_extension('os', 'system', 240)
    assert not vars(argparse.Namespace).keys() & {'a', '__setstate__'}


@pytest.mark.parametrize('name', ['GLOBAL', 'bare system', 'system-4', 'INST', 'OBJ'])
def test_the_hostile_pickles_are_hostile(name: str, tmp_path: Path) -> None:
    marker = tmp_path / 'marker'
    content, _ = _hostile(marker)[name]
    pickle.loads(content)
    assert marker.exists()


def test_an_extension_that_was_used_before_is_refused(tmp_path: Path) -> None:
    content = b'\x80\x02\x82\xf0.'
    copyreg.add_extension('argparse', 'Namespace', 240)
    try:
        assert pickle.loads(content) is argparse.Namespace  # now in Python's cache
        with pytest.raises(ValueError, match=r'with EXT1'):
            read_arguments(_write(tmp_path, content))
    finally:
        copyreg.remove_extension('argparse', 'Namespace', 240)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    itself = _namespace()
    itself.itself = itself
    for value in (_namespace(a=endless), itself):
        path = _write(tmp_path, pickle.dumps(value, 4))
        with pytest.raises(ValueError, match=r'with (a|itself) of <class'):
            read_arguments(path)


@pytest.mark.parametrize('name', GENUINE)
def test_every_truncation_is_refused(name: str, tmp_path: Path) -> None:
    content = (DATA / name).read_bytes()
    for length in range(len(content)):
        path = _write(tmp_path, content[:length])
        with pytest.raises(ValueError, match=r'got .*args.pkl that is damaged'):
            read_arguments(path)


def test_damage_is_refused_or_leaves_plain_values(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    content = (DATA / GENUINE[0]).read_bytes()
    for _ in range(500):
        damaged = bytearray(content)
        for position in generator.integers(0, len(content), 3):
            damaged[position] = generator.integers(0, 256)
        path = _write(tmp_path, bytes(damaged))
        try:
            values = read_arguments(path)
        except ValueError:
            continue
        assert {type(v) for v in values.values()} <= {bool, int, float, str}


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'got no file at .*none.pkl'):
        read_arguments(tmp_path / 'none.pkl')
    with pytest.raises(FileNotFoundError, match=r'got no file at'):
        read_arguments(tmp_path)


@pytest.mark.parametrize('name', GENUINE)
def test_what_is_written_is_what_python_3_7_reads(name: str, tmp_path: Path) -> None:
    values = read_arguments(DATA / name)
    path = tmp_path / 'args.pkl'
    write_arguments(path, values)
    content = path.read_bytes()
    operations = list(pickletools.genops(content))
    assert (operations[0][0].name, operations[0][1]) == ('PROTO', 3)
    assert max(operation.proto for operation, _, _ in operations) <= 3
    imports = [a for operation, a, _ in operations if operation.name == 'GLOBAL']
    assert imports == ['argparse Namespace']
    read = pickle.loads(content)
    assert type(read) is argparse.Namespace
    assert vars(read) == values
    assert list(vars(read)) == list(values)
    assert read_arguments(path) == values


@pytest.mark.parametrize('value', [(1,), {'a': 1}, [[1]], np.float64(1), Path('x')])
def test_what_is_not_plain_is_not_written(value: Any, tmp_path: Path) -> None:
    path = tmp_path / 'args.pkl'
    with pytest.raises(ValueError, match=r'Expected plain arguments, got some with lr'):
        write_arguments(path, {'lr': value})
    assert not list(tmp_path.iterdir())
