"""Made-up data in the layouts of the real ones, for the demo, tests and benchmarks.

The truth at 10 m is a landscape of fields, forests, rivers and towns. Images and labels
are what Sentinel-1, Sentinel-2 and MODIS would make of it.
"""

from .demo import DemoRoots, write_demo
from .files import write_dfc2020, write_unlabeled
from .scene_files import SceneFiles, write_scene
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
