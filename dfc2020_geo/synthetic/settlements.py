"""Synthetic settlements: towns with blocks and streets, villages, roads."""

from dataclasses import dataclass

import numpy as np

from .fields import random_field, rotated_grid

#: Width in pixels of a street.
_STREET = 1.1


@dataclass(frozen=True, slots=True)
class Settlements:
    """Masks of buildings and roads, each of shape ``(H, W)``.

    Attributes:
        built: Blocks and streets, bool.
        parks: Green blocks inside towns, bool.
        roads: Roads between towns, bool.
        variant: Building density, float32: 0 is a house in its garden, 1 a roof or
            asphalt.
    """

    built: np.ndarray
    parks: np.ndarray
    roads: np.ndarray
    variant: np.ndarray


def draw_settlements(
    suitability: np.ndarray, count: int, radius: float, rng: np.random.Generator
) -> Settlements:
    """Place towns on suitable ground, the first the largest, and join them by roads.

    Args:
        suitability: Suitability for building, of shape ``(H, W)``, any scale.
        count: Number of towns and villages.
        radius: Radius of the first in pixels.
        rng: Random generator.

    Returns:
        The settlements.
    """
    shape = suitability.shape
    empty = (np.zeros(shape, dtype=bool) for _ in range(3))
    settlements = Settlements(*empty, np.ones(shape, dtype=np.float32))
    sites = _choose_sites(suitability, count, rng)
    for rank, site in enumerate(sites):
        extent = radius * (1 if rank == 0 else rng.uniform(0.12, 0.4))
        _draw_town(settlements, site, extent, rng)
    for rank, site in enumerate(sites):
        earlier = sites[:rank]
        nearest = sorted(earlier, key=lambda other: np.hypot(*(other - site)))[:1]
        ends = nearest or [_edge_point(shape, rng), _edge_point(shape, rng)]
        for end in ends:
            _draw_road(settlements.roads, site, end, rng, wide=rank == 0)
    return settlements


def _choose_sites(
    suitability: np.ndarray, count: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Choose the most suitable of some random points for each town."""
    sites = []
    for _ in range(count):
        points = np.stack([rng.integers(0, n, 12) for n in suitability.shape], axis=1)
        sites.append(points[np.argmax(suitability[tuple(points.T)])])
    return sites


def _edge_point(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    along = rng.uniform(-0.1, 1.1) * np.array(shape)
    axis = rng.integers(2)
    along[axis] = rng.choice([-2, shape[axis] + 1])
    return along


def _draw_town(
    settlements: Settlements, site: np.ndarray, radius: float, rng: np.random.Generator
) -> None:
    """Draw blocks between streets, thinning out towards the edge."""
    near = tuple(
        slice(max(0, int(c - 2 * radius)), min(n, int(c + 2 * radius) + 1))
        for c, n in zip(site, settlements.built.shape, strict=True)
    )
    shape = settlements.built[near].shape
    y, x = np.mgrid[near]
    distance = np.hypot(y - site[0], x - site[1]) / radius
    distance += 0.22 * random_field(shape, max(radius, 8), rng)
    bend = 2 * random_field(shape, 60, rng)
    along, across = rotated_grid(shape, rng.uniform(0, np.pi))
    along, across = along + bend, across - bend
    long, short = rng.uniform(8, 15), rng.uniform(5, 9)
    street = (along % long < _STREET) | (across % short < _STREET)
    block = (along // long).astype(int) * 31 + (across // short).astype(int)
    chance, density = rng.random((2, 1024))[:, block % 1024]
    inside = distance < 1
    outer = np.clip(distance, 0, 1)
    park = inside & (chance < 0.05 + 0.45 * outer**4) & ~street
    houses = 0.75 * density + 0.35 * (1 - outer) - 0.1
    variant = np.where(street, 0.85, houses).clip(0, 1)
    settlements.parks[near] = np.where(inside, park, settlements.parks[near])
    settlements.built[near] |= inside & ~park
    settlements.variant[near] = np.where(inside, variant, settlements.variant[near])


def _draw_road(
    roads: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    rng: np.random.Generator,
    wide: bool,
) -> None:
    """Draw a winding line, two pixels wide if *wide*."""
    length = np.hypot(*(end - start))
    t = np.linspace(0, 1, int(3 * length) + 2)[:, None]
    across = np.array([start[1] - end[1], end[0] - start[0]]) / max(length, 1)
    bends = np.arange(1, 6)
    sizes = rng.normal(0, 0.07 * length, len(bends)) / bends**1.3
    bend = (np.sin(np.pi * t * bends) * sizes).sum(axis=1, keepdims=True)
    points = np.round(start + t * (end - start) + bend * across).astype(int)
    for shift in range(2 if wide else 1):
        y, x = points[:, 0], points[:, 1] + shift
        inside = (y >= 0) & (x >= 0) & (y < roads.shape[0]) & (x < roads.shape[1])
        roads[y[inside], x[inside]] = True
