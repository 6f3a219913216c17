"""Annotated images: shapes, objects, tags, classes, and the Supervisely project that holds them on disk."""

from segsweep.annotation.geometry import Bitmap, Geometry, Graph, Line, Point, Polygon, Rectangle
from segsweep.annotation.meta import ClassMeta, ProjectMeta, TagMeta, meta_from_json, meta_to_json
from segsweep.annotation.objects import Annotation, LabeledObject, Tag, map_geometry, normalise
from segsweep.annotation.parse import annotation_from_json, annotation_to_json
from segsweep.annotation.project import Dataset, Item, Project, ProjectWriter, move_item, project_digest, write_item
from segsweep.annotation.rasterize import class_indices, geometry_mask, object_mask

__all__ = [
    "Annotation",
    "Bitmap",
    "ClassMeta",
    "Dataset",
    "Geometry",
    "Graph",
    "Item",
    "LabeledObject",
    "Line",
    "Point",
    "Polygon",
    "Project",
    "ProjectMeta",
    "ProjectWriter",
    "Rectangle",
    "Tag",
    "TagMeta",
    "annotation_from_json",
    "annotation_to_json",
    "class_indices",
    "geometry_mask",
    "map_geometry",
    "meta_from_json",
    "meta_to_json",
    "move_item",
    "normalise",
    "object_mask",
    "project_digest",
    "write_item",
]
