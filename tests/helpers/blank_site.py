"""Figures of reports left blank in commands: the `sitecustomize` that blank_figures.py puts on their path, or a part of one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

REPORT, PAGE = "mlpbench.report.report", "mlpbench.report.pages.page"


class WithoutFigures(MetaPathFinder):
    """Finds the modules of reports and of pages as others do, and has them draw nothing."""

    def __init__(self) -> None:
        self.left = {REPORT, PAGE}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.left:
            return None
        self.left.remove(name)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def loaded(module: ModuleType) -> None:
            load(module)
            if name == PAGE:
                module._drawn = lambda report: {}  # type: ignore[attr-defined]
                return
            from blank_figures import blank_drawn

            module.Report._drawn = property(blank_drawn)

        spec.loader.exec_module = loaded  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, WithoutFigures())
