"""Objects that follow a picture which is turned, bent or seen in perspective.

Coordinates are continuous, as everywhere: the centre of pixel (column i, row j) is at (i + 1/2, j + 1/2). Vector shapes
are moved point by point and cut to the picture; where straight lines bend, their edges get points in between. Bitmaps
are moved by the nearest pixel, all that do not overlap in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Bitmap, Geometry, Graph, Line, Point, Polygon, Rectangle
from segsweep.annotation import geometry as shapes
from segsweep.annotation.geometry import Points
from segsweep.annotation.rasterize import geometry_mask

__all__ = ["Displacement", "Homography", "Labels", "Warp", "corners_of", "follow"]

Labels = NDArray[np.uint8]
Field = NDArray[np.float32]

_STEP = 4.0
"""Pixels between the points that an edge gets before it is bent."""
_STRAIGHT = 0.1
"""Pixels that they must leave the straight line by to be kept."""
_NEAR = 1e-6
"""What is less in front of the horizon than this (1 in the middle of a picture) counts as behind it."""


@dataclass(frozen=True)
class Warp:
    """Where everything in a picture goes.

    Attributes:
        size: (width, height) afterwards.
        points: Nx2 points -> where they go, in or outside the picture.
        labels: A picture of labels (uint8 HxW) -> it moved by the nearest pixel, 0 where nothing was.
        visible: A vector shape -> the parts of it that `points` can move.
        bends: Whether straight lines do not stay straight.
    """

    size: tuple[int, int]
    points: Callable[[Points], Points]
    labels: Callable[[Labels], Labels]
    visible: Callable[[Geometry], Iterable[Geometry]]
    bends: bool = False


def follow(annotation: Annotation, warp: Warp) -> Annotation:
    """Moves all objects. What leaves the picture is cut off, as by `crop`; classes, tags and order stay."""
    old = (annotation.width, annotation.height)
    bitmaps = {i: item.geometry for i, item in enumerate(annotation.objects) if isinstance(item.geometry, Bitmap)}
    moved: dict[int, list[Geometry]] = {i: [piece] for i, piece in _moved_bitmaps(bitmaps, old, warp).items()}
    owners, pieces = [], []
    for i, item in enumerate(annotation.objects):
        if i not in bitmaps:
            for piece in warp.visible(item.geometry):
                owners.append(i)
                pieces.append(piece)
    for i, piece in zip(owners, _moved_vectors(pieces, warp), strict=True):
        if isinstance(annotation.objects[i].geometry, Rectangle):
            piece = Rectangle(*shapes.bounds(piece))
        moved.setdefault(i, []).extend(shapes.crop(piece, 0, 0, *warp.size))
    objects = tuple(
        replace(item, geometry=piece) for i, item in enumerate(annotation.objects) for piece in moved.get(i, ())
    )
    return replace(annotation, width=warp.size[0], height=warp.size[1], objects=objects)


# Bitmaps


def _moved_bitmaps(bitmaps: Mapping[int, Bitmap], size: tuple[int, int], warp: Warp) -> dict[int, Bitmap]:
    """Bitmaps by their keys, those that nothing is left of missing."""
    moved: dict[int, Bitmap] = {}
    for picture, keys in _packed(bitmaps, size):
        for key, piece in zip(keys, _unpacked(warp.labels(picture), len(keys)), strict=True):
            if piece is not None:
                moved[key] = piece
    return moved


def _packed(bitmaps: Mapping[int, Bitmap], size: tuple[int, int]) -> list[tuple[Labels, list[int]]]:
    """Pictures of labels and the keys of their labels 1, 2, …; bitmaps that overlap are in different ones."""
    packed: list[tuple[Labels, list[int]]] = []
    for key, bitmap in bitmaps.items():
        inside = geometry_mask(bitmap, *size)
        if inside is None:
            continue
        place = slice(inside.y, inside.y + inside.mask.shape[0]), slice(inside.x, inside.x + inside.mask.shape[1])
        free = (entry for entry in packed if len(entry[1]) < 255 and not entry[0][place][inside.mask].any())
        entry = next(free, None)
        if entry is None:
            entry = (np.zeros(size[::-1], dtype=np.uint8), [])
            packed.append(entry)
        entry[1].append(key)
        entry[0][place][inside.mask] = len(entry[1])
    return packed


def _unpacked(picture: Labels, count: int) -> list[Bitmap | None]:
    """The bitmaps of the labels 1 to `count`, trimmed; None for a label that is gone."""
    if count == 1:
        trimmed = shapes.trim(Bitmap(picture.view(np.bool_), 0, 0))  # no label but 1, which is True
        return [trimmed[0] if trimmed else None]
    from scipy.ndimage import find_objects  # here, because it takes long to import

    places = find_objects(picture, count)
    return [
        place and Bitmap(picture[place] == label, place[1].start, place[0].start)
        for label, place in enumerate(places, start=1)
    ]


# Vector shapes


def _moved_vectors(pieces: Sequence[Geometry], warp: Warp) -> list[Geometry]:
    """Vector shapes after all of their points were moved in one go."""
    rings: list[Points] = []
    given: list[NDArray[np.bool_]] = []

    def note(shape: Geometry, points: Points) -> Points:
        bent = warp.bends and not isinstance(shape, Point | Graph)
        ring, flags = _refined(points, not isinstance(shape, Line)) if bent else (points, _all(points))
        rings.append(ring)
        given.append(flags)
        return points

    for shape in pieces:
        shapes.map_points(shape, lambda points, shape=shape: note(shape, points))  # type: ignore[misc]
    if not rings:
        return []
    ends = np.cumsum([len(ring) for ring in rings])[:-1]
    parts = np.split(warp.points(np.concatenate(rings)), ends)
    moved = iter([_thinned(*pair) for pair in zip(parts, given, strict=True)])
    return [shapes.map_points(shape, lambda _: next(moved)) for shape in pieces]


def _all(points: Points) -> NDArray[np.bool_]:
    return np.ones(len(points), dtype=np.bool_)


def _refined(points: Points, closed: bool) -> tuple[Points, NDArray[np.bool_]]:
    """A ring or line with points on its edges, at most `_STEP` apart, and which points were there before."""
    ends = np.roll(points, -1, axis=0) if closed else points[1:]
    starts = points if closed else points[:-1]
    counts = np.maximum(np.ceil(np.hypot(*(ends - starts).T) / _STEP), 1).astype(np.intp)
    edge = np.repeat(np.arange(len(starts)), counts)
    part = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (part / counts[edge])[:, None]
    refined, given = starts[edge] + share * (ends - starts)[edge], part == 0
    if closed:
        return refined, given
    return np.concatenate([refined, points[-1:]]), np.append(given, np.True_)


def _thinned(moved: Points, given: NDArray[np.bool_]) -> Points:
    """Takes points on edges away again where all of an edge's stayed on the straight line."""
    if given.all():
        return moved
    corners = np.flatnonzero(given)
    edge = np.cumsum(given) - 1
    start, end = moved[corners], moved[np.append(corners[1:], corners[0])]
    along = end - start
    off = moved - start[edge]
    length = np.maximum(np.hypot(*along.T), 1e-9)
    across = np.abs(off[:, 0] * along[edge, 1] - off[:, 1] * along[edge, 0]) / length[edge]
    bent = np.maximum.reduceat(across, corners) > _STRAIGHT
    kept: Points = moved[given | bent[edge]]
    return kept


# Where points go


def corners_of(size: tuple[int, int]) -> Points:
    """The corners (4x2) of a picture of `size` (width, height), clockwise from the top left."""
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)


@dataclass(frozen=True)
class Homography:
    """A projective map of the plane, which keeps straight lines straight.

    Attributes:
        matrix: 3x3, of homogeneous continuous coordinates.
        size: (width, height) of the picture afterwards.
    """

    matrix: NDArray[np.float64]
    size: tuple[int, int]

    @classmethod
    def of_corners(cls, before: Points, after: Points, size: tuple[int, int]) -> Homography:
        """The one that takes four points (4x2) to four others."""
        matrix = cv2.getPerspectiveTransform(before.astype(np.float32), after.astype(np.float32))
        return cls(np.asarray(matrix, dtype=np.float64), size)

    @property
    def of_pixels(self) -> NDArray[np.float64]:
        """The same for OpenCV, whose pixels have their centres at whole numbers."""
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        return np.asarray(np.linalg.inv(half) @ self.matrix @ half, dtype=np.float64)

    def points(self, points: Points) -> Points:
        """Where points go that lie in front of the horizon, to a millionth of a pixel, so that edges fall on edges."""
        moved = np.column_stack([points, np.ones(len(points))]) @ self.matrix.T
        return np.asarray(np.round(moved[:, :2] / moved[:, 2:], 6), dtype=np.float64)

    def labels(self, labels: Labels) -> Labels:
        """A picture of labels moved by the nearest pixel."""
        moved = cv2.warpPerspective(labels, self.of_pixels, self.size, flags=cv2.INTER_NEAREST)
        return np.asarray(moved, dtype=np.uint8)

    def visible(self, shape: Geometry) -> Iterable[Geometry]:
        """A shape as it is, or, if it reaches behind the horizon, those parts of it that come into the picture."""
        points: list[Points] = []
        shapes.map_points(shape, lambda some: points.append(some) or some)  # type: ignore[func-returns-value]
        every = np.concatenate(points)
        if (every @ self.matrix[2, :2] + self.matrix[2, 2] > _NEAR).all():
            return (shape,)
        if isinstance(shape, Point | Graph):
            return ()
        return self._in_view(shape)

    def _in_view(self, shape: Geometry) -> Iterable[Geometry]:
        import shapely  # here, because it takes long to import

        back = Homography(np.asarray(np.linalg.inv(self.matrix), dtype=np.float64), self.size)
        seen = shapely.Polygon(back.points(corners_of(self.size))).buffer(0)
        whole: shapely.Geometry
        match shape:
            case Rectangle():
                whole = shapely.box(*shapes.bounds(shape))
            case Polygon(exterior, interior):
                whole = shapely.Polygon(exterior, interior).buffer(0)
            case Line(points):
                whole = shapely.LineString(points)
            case _:
                return
        for piece in shapely.get_parts(whole.intersection(seen)):
            if isinstance(piece, shapely.Polygon) and piece.area > 0:
                yield Polygon(np.array(piece.exterior.coords), tuple(np.array(ring.coords) for ring in piece.interiors))
            elif isinstance(piece, shapely.LineString) and isinstance(shape, Line):
                yield Line(np.array(piece.coords))

    def warp(self) -> Warp:
        """What objects follow."""
        return Warp(self.size, self.points, self.labels, self.visible)


@dataclass(frozen=True)
class Displacement:
    """A warp that keeps the size: pixel q shows what was at q + (dx[q], dy[q]).

    Attributes:
        dx: In pixels, float32 HxW.
        dy: The same, downwards.
    """

    dx: Field
    dy: Field

    @property
    def maps(self) -> tuple[Field, Field]:
        """What OpenCV's remap takes: the column and row that every pixel shows."""
        rows, columns = self.dx.shape
        x, y = np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)[:, None]
        return self.dx + x, self.dy + y

    def labels(self, labels: Labels) -> Labels:
        """A picture of labels moved by the nearest pixel."""
        return np.asarray(cv2.remap(labels, *self.maps, cv2.INTER_NEAREST), dtype=np.uint8)

    def points(self, points: Points) -> Points:
        """Where points go: to the places that show them.

        Solves q + d(q) = p by damped fixed-point iteration. It finds the place, to 1e-4 pixels, where the warp does not
        fold. Where it folds, a point is shown several times or not at all, and the best place found stands for it.
        """
        found, best = points.copy(), np.full(len(points), np.inf)
        place = points.copy()
        active = np.arange(len(points))
        for _ in range(100):
            miss = place[active] + self._at(place[active]) - points[active]
            off = np.hypot(*miss.T)
            better = off < best[active]
            found[active[better]] = place[active[better]]
            best[active[better]] = off[better]
            active, miss = active[off > 1e-4], miss[off > 1e-4]
            if not len(active):
                break
            place[active] -= 0.7 * miss
        return found

    def _at(self, points: Points) -> Points:
        """The displacement at points, linear between the centres of pixels, beyond them that of the nearest."""
        rows, columns = self.dx.shape
        x, y = np.clip(points[:, 0] - 0.5, 0, columns - 1), np.clip(points[:, 1] - 0.5, 0, rows - 1)
        left, top = x.astype(np.intp), y.astype(np.intp)
        right, below = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
        u, v = x - left, y - top

        def between(field: Field) -> NDArray[np.float64]:
            upper = field[top, left] * (1 - u) + field[top, right] * u
            lower = field[below, left] * (1 - u) + field[below, right] * u
            return np.asarray(upper * (1 - v) + lower * v)

        return np.column_stack([between(self.dx), between(self.dy)])

    def warp(self) -> Warp:
        """What objects follow."""
        rows, columns = self.dx.shape
        margin = 1 + int(np.ceil(max(np.abs(self.dx).max(), np.abs(self.dy).max())))

        def visible(shape: Geometry) -> Iterable[Geometry]:
            """The parts that may come into the picture; others may be endlessly far away."""
            for piece in shapes.crop(shape, -margin, -margin, columns + margin, rows + margin):
                yield shapes.shift(piece, -margin, -margin)

        return Warp((columns, rows), self.points, self.labels, visible, bends=True)
