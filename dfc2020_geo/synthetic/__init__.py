"""Synthetic SEN12MS, DFC2020 and scenes, for the demo, tests and benchmarks.

The truth at 10 m is a landscape of fields, forests, rivers and towns. Sentinel-1 and
Sentinel-2 images and coarse MODIS labels are simulated from it. No figure computed on
these data says anything about real data.
"""

from .demo import DemoRoots, write_demo
from .files import SceneFiles, write_dfc2020, write_scene, write_unlabeled
from .sen12ms import write_sen12ms

__all__ = [
    'DemoRoots',
    'SceneFiles',
    'write_demo',
    'write_dfc2020',
    'write_scene',
    'write_sen12ms',
    'write_unlabeled',
]
