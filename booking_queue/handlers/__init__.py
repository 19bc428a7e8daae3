"""Job types: one module each, with its `HANDLER`. Adding a type is adding a file here."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from booking_queue.handlers.base import Handler


@cache
def registry() -> dict[str, Handler]:
    """Every job type by its name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    handlers = [module.HANDLER for module in modules if hasattr(module, "HANDLER")]
    return {handler.type: handler for handler in handlers}
