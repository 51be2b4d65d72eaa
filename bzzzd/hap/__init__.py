"""The portal door: bzzz-hap, where a person works with the mesh in a terminal."""

import sys


def _import_msgspec_alone() -> None:
    """Import msgspec without typing_extensions, which it takes when it is there.

    The Python that this package asks for has everything of it that msgspec wants, and it imports ``inspect``:
    together they took a quarter of the time to the portal's first frame.
    """
    name = "typing_extensions"
    if name in sys.modules or "msgspec" in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it now fails (import system, sys.modules)
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules[name]


_import_msgspec_alone()
