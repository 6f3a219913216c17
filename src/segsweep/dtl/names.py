"""The 48 actions of the language, by family."""

from __future__ import annotations

__all__ = ["ACTIONS", "DISCARD", "SAVES"]

SAVES = frozenset({"supervisely", "save", "save_masks"})

ACTIONS = SAVES | {
    "data",
    "approx_vector",
    "background",
    "bbox",
    "bbox2poly",
    "bitmap2lines",
    "bitwise_masks",
    "blur",
    "color_class",
    "contour_sliding_box",
    "contrast_brightness",
    "crop",
    "crop_annotation",
    "dataset",
    "drop_lines_by_length",
    "drop_lines_under_polygon",
    "drop_noise",
    "drop_obj_by_class",
    "dummy",
    "duplicate_objects",
    "find_contours",
    "find_cracknets",
    "flip",
    "generate_hints",
    "if",
    "instances_crop",
    "line2bitmap",
    "merge_bitmap_masks",
    "merge_lines",
    "multiply",
    "noise",
    "objects_filter",
    "poly2bitmap",
    "random_color",
    "rasterize",
    "rename",
    "resize",
    "resize_annotation",
    "restore_annotation_scale",
    "road_lines",
    "rotate",
    "skeletonize",
    "sliding_window",
    "split_masks",
    "tag",
}

DISCARD = "null"
"""The destination of what is to be dropped."""
