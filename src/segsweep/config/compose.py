"""From a command and its overrides to checked configurations, with every problem told at once.

Hydra stops at the first key it does not know, and advises to append it. So each override is looked at here first:
syntax, group options, keys; then the first job of the request is composed and checked against the schema, and each
further value of a sweep after it. Only a request without problems reaches Hydra's own run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.config.locations import shipped_conf
from segsweep.config.resolve import resolve
from segsweep.config.search_path import register
from segsweep.errors import Problem, Problems, nearest
from segsweep.typed import Strict

__all__ = ["VERSION_BASE", "ComposedJob", "Composition", "compose", "search_path_override", "swept_values"]

VERSION_BASE = "1.3"

Check = Callable[[Any, Problems], None]
"""Looks at a typed configuration and notes what is wrong with it; writes nothing."""


@dataclass(frozen=True)
class ComposedJob:
    """One job of a sweep over all combinations.

    Attributes:
        overrides: What Hydra's launchers are given for it.
        values: Its values of the swept keys, as they are written, in the keys' order.
        config: Its typed configuration.
    """

    overrides: tuple[str, ...]
    values: dict[str, str]
    config: Strict


@dataclass(frozen=True)
class Composition:
    """A checked request.

    Attributes:
        config: The typed configuration of its first (or only) job; None when there are problems.
        swept: The swept keys with their values as they are written, in order; empty without `-m`.
        warnings: What can be run but may be a mistake.
        launcher: Hydra's name of the launcher (`basic`, `joblib` …); empty when there are problems.
        jobs: The jobs of a sweep, where all were asked for; None where a sampler chooses them one by one.
    """

    config: Strict | None
    swept: dict[str, list[str]] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    launcher: str = ""
    jobs: tuple[ComposedJob, ...] | None = None


def compose(
    command: str,
    overrides: Sequence[str],
    problems: Problems,
    *,
    multirun: bool = False,
    config_dir: str | None = None,
    check: Check | None = None,
    jobs: bool = False,
) -> Composition:
    """Composes `command` with `overrides` and checks it, and every value of a sweep; notes all problems.

    Args:
        command: Name of a primary configuration (`run`, `train` …).
        overrides: Hydra overrides as on the command line.
        problems: Where everything wrong is noted.
        multirun: Whether several values of a key are a sweep.
        config_dir: One more folder of config files.
        check: What else to check of a configuration that fits the schema.
        jobs: Whether every job of a sweep is composed, and not only every value.
    """
    with _hydra(config_dir) as extra:
        parsed = _parse(overrides, problems)
        groups = [item for item in parsed if _is_group(item)]
        values = [item for item in parsed if not _is_group(item)]
        good_groups = [item for item in groups if _check_group(item, problems)]
        base = _compose(command, extra + [_first(item) for item in good_groups], problems)
        if base is None:
            return Composition(None)
        sweeps = {item.get_key_element(): item for item in parsed if item.is_sweep_override()}
        if multirun:
            sweeps = {**_declared_sweeps(base, parsed, problems), **sweeps}
            _check_intervals(sweeps, base, problems)
            for item in sweeps.values():  # a declared sweep over a group was not looked at yet
                if item not in parsed and _is_group(item):
                    _check_group(item, problems)
        else:
            for key, item in sweeps.items():
                problems.add(key, f"several values ({_written(item)})", "add -m to sweep over them")
        values += [item for item in sweeps.values() if item not in parsed and not _is_group(item)]
        good_values = [item for item in values if _check_key(item, base, problems)]
        chosen = [*good_groups, *good_values]
        first = _first_job(command, extra, chosen, base, problems)
        if first is None:
            return Composition(None)
        task = [_first(item) for item in chosen]
        config = _judge(command, first, task, problems, check)
        swept = {key: _texts(item) for key, item in sweeps.items()} if multirun else {}
        for variant, written in _variants(command, extra, chosen, first, problems):
            _judge(command, variant, written, problems, check)
        warnings = tuple(dict.fromkeys(problems.warnings))
        if problems.found:
            return Composition(None, swept, warnings)
        choices = OmegaConf.select(first, "hydra.runtime.choices")
        grid = choices["hydra/sweeper"] == "basic"
        found = tuple(_jobs(command, extra, parsed, sweeps, problems)) if jobs and multirun and grid else None
        return Composition(
            None if problems.found else config, swept, warnings, launcher=choices["hydra/launcher"], jobs=found
        )


def swept_values(task_overrides: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """The values that one job has for the swept keys, from the overrides that Hydra gave it."""
    written = {}
    for item in OverridesParser.create().parse_overrides(list(task_overrides)):
        if item.get_key_element() in keys:
            written[item.get_key_element()] = str(item.get_value_element_as_str()).strip("'\"")
    return written


@contextmanager
def _hydra(config_dir: str | None) -> Iterator[list[str]]:
    register()
    with initialize_config_dir(config_dir=str(shipped_conf()), version_base=VERSION_BASE):
        yield search_path_override(config_dir)


def search_path_override(config_dir: str | None) -> list[str]:
    """What `--config-dir` is to Hydra: one more folder on its search path."""
    return [f"hydra.searchpath=[{_quoted('file://' + str(Path(config_dir).absolute()))}]"] if config_dir else []


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


def _parse(overrides: Sequence[str], problems: Problems) -> list[Override]:
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed: dict[str, Override] = {}
    for text in overrides:
        try:
            [item] = parser.parse_overrides([text])
        except HydraException as error:
            reason = str(error).splitlines()[0].rstrip(".")
            problems.add(text, f"cannot be read as key=value: {reason}", "quote values with special signs: 'key=\"…\"'")
            continue
        parsed[item.get_key_element()] = item  # as Hydra does: the last one counts
    return list(parsed.values())


def _is_group(item: Override) -> bool:
    return not item.is_add() and "." not in item.key_or_group and bool(_options(item.key_or_group))


def _groups() -> list[str]:
    names: list[str] = GlobalHydra.instance().config_loader().list_groups("")
    return [name for name in names if name != "hydra"]


def _options(group: str) -> list[str]:
    return list(GlobalHydra.instance().config_loader().get_group_options(group, results_filter=ObjectType.CONFIG))


def _check_group(item: Override, problems: Problems) -> bool:
    """Whether every option that is named exists."""
    known = _options(item.key_or_group)
    texts = _texts(item) if item.is_sweep_override() else [item.value()]
    wrong = [text for text in texts if str(text) not in known]
    for text in wrong:
        problems.unknown(item.key_or_group, _written(item) if text is None else str(text), known, kind="option")
    return not wrong


def _check_key(item: Override, base: DictConfig, problems: Problems) -> bool:
    """Whether the key of a plain override is there; `+key` may add one, which the schema judges."""
    if item.is_add() or item.is_force_add():
        return True
    node: Any = base
    path = item.key_or_group.split(".")
    for depth, part in enumerate(path):
        known = [str(key) for key in node] if isinstance(node, DictConfig) else []
        if not isinstance(node, DictConfig) or part not in known:
            where = ".".join(path[: depth + 1])
            groups = _groups() if depth == 0 else []
            if part in groups:
                problems.add(item.key_or_group, f"belongs to {part}=…, which is not given", nearest("", _options(part)))
            else:
                problems.unknown(where, part, [key for key in known if key != "hydra"] + groups, kind="key")
            return False
        node = node._get_node(part)
        if isinstance(node, DictConfig) and (node._is_none() or node._is_missing() or node._is_interpolation()):
            node = None
    return True


def _written(item: Override) -> str:
    """The value as it was written."""
    return str(item.input_line).partition("=")[2]


def _texts(item: Override) -> list[str]:
    """The values of a sweep as they are written; of an interval, which has no end of them, its two ends."""
    if item.is_interval_sweep():
        interval: Any = item.value()
        return [str(interval.start), str(interval.end)]
    return list(item.sweep_string_iterator())


def _first(item: Override) -> str:
    """An override as text, a sweep reduced to its first value."""
    if item.is_sweep_override():
        return f"{item.get_key_element()}={_texts(item)[0]}"
    return str(item.input_line)


def _compose(command: str, overrides: list[str], problems: Problems) -> DictConfig | None:
    try:
        composed: DictConfig = hydra_compose(config_name=command, overrides=overrides, return_hydra_config=True)
        return composed
    except (HydraException, OmegaConfBaseException) as error:
        problems.add("configuration", " ".join(str(error).split()))
        return None


def _first_job(
    command: str, extra: list[str], chosen: list[Override], base: DictConfig, problems: Problems
) -> DictConfig | None:
    texts = [_first(item) for item in chosen]
    if all(_is_group(item) for item in chosen):
        return base
    return _compose(command, extra + texts, problems)


def _declared_sweeps(base: DictConfig, parsed: list[Override], problems: Problems) -> dict[str, Override]:
    """Sweeps that the configuration itself declares (`hydra.sweeper.params`), less those given on the command line."""
    params = OmegaConf.select(base, "hydra.sweeper.params") or {}
    given = {item.get_key_element() for item in parsed}
    declared = _parse([f"{key}={value}" for key, value in params.items() if key not in given], problems)
    return {item.get_key_element(): item for item in declared}


def _check_intervals(sweeps: Mapping[str, Override], base: DictConfig, problems: Problems) -> None:
    """An interval has values without end; only a sampler can choose among them."""
    if OmegaConf.select(base, "sampler.trials") is not None:
        return
    for key, item in sweeps.items():
        if item.is_interval_sweep():
            problems.add(key, f"{_written(item)} has no list of values", "add sampler=optuna, or name the values")


def _variants(
    command: str, extra: list[str], chosen: list[Override], first: DictConfig, problems: Problems
) -> Iterator[tuple[DictConfig, list[str]]]:
    """The further values of each swept key, one at a time beside the first values of all others."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    for item in chosen:
        if not item.is_sweep_override():
            continue
        others = [_first(other) for other in chosen if other is not item]
        for text in _texts(item)[1:]:
            written = f"{item.get_key_element()}={text}"
            if _is_group(item):
                variant = _compose(command, [*extra, *others, written], problems)
                if variant is None:
                    continue
            else:
                variant = first.copy()
                OmegaConf.set_struct(variant, False)
                [one] = parser.parse_overrides([written])
                OmegaConf.update(variant, item.key_or_group, one.value(), merge=True)
            yield variant, [*others, written]


def _jobs(
    command: str, extra: list[str], parsed: list[Override], sweeps: Mapping[str, Override], problems: Problems
) -> Iterator[ComposedJob]:
    """All combinations of the swept values, the last key's running fastest; each choice of groups is composed once."""
    fixed = [item for item in parsed if not item.is_sweep_override()]
    ours = [str(item.input_line) for item in fixed if not item.key_or_group.startswith(("hydra.", "hydra/"))]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    grid = [[(item, text) for text in _texts(item)] for item in sweeps.values()]
    values: dict[str, Any] = {}
    composed: dict[tuple[str, ...], DictConfig] = {}
    for combination in itertools.product(*grid):
        written = [f"{item.get_key_element()}={text}" for item, text in combination]
        groups = tuple(text for text, (item, _) in zip(written, combination, strict=True) if _is_group(item))
        if groups not in composed:
            made = _compose(command, [*extra, *(str(item.input_line) for item in fixed), *written], problems)
            if made is None:
                return
            composed[groups] = without_hydra(made)
        job = composed[groups].copy()
        for text, (item, _) in zip(written, combination, strict=True):
            if text not in groups:
                if text not in values:
                    values[text] = parser.parse_overrides([text])[0].value()
                OmegaConf.update(job, item.key_or_group, values[text], merge=True)
        config = resolve(command, job, [*ours, *written], problems)
        if config is not None:
            swept = {item.get_key_element(): text.strip("'\"") for item, text in combination}
            yield ComposedJob((*ours, *written), swept, config)


def _judge(
    command: str, composed: DictConfig, task: Sequence[str], problems: Problems, check: Check | None
) -> Strict | None:
    config = resolve(command, without_hydra(composed), task, problems)
    if config is not None and check is not None:
        check(config, problems)
    return config


def without_hydra(composed: DictConfig) -> DictConfig:
    """A copy of a composed configuration without Hydra's own part (whose interpolations resolve only in a run)."""
    copied = composed.copy()
    OmegaConf.set_struct(copied, False)
    plain: Mapping[Any, Any] = copied
    if "hydra" in plain:
        copied.pop("hydra")
    return copied
