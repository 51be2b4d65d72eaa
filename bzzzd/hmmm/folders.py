"""The folders that hold forms and prompts: an administrator's, then a person's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bzzzd.config.faults import Fault
from bzzzd.config.folder import read_folder
from bzzzd.config.settings import Settings, Surroundings, expand
from bzzzd.hmmm import forms, library
from bzzzd.hmmm.forms import Form
from bzzzd.hmmm.library import Library, Wording

TEMPLATES: Final = "templates"
PROMPTS: Final = "prompts"


def form_folders(settings: Settings, around: Surroundings) -> tuple[Path, Path]:
    """The configured folder and the person's own, whose forms win over those of the same name."""
    return expand(settings.config.interface.message_templates_path, around), own_folder(around) / TEMPLATES


def own_folder(around: Surroundings) -> Path:
    """The person's configuration folder; the XDG specification has relative paths ignored."""
    xdg = around.environ.get("XDG_CONFIG_HOME", "")
    return (Path(xdg) if xdg.startswith("/") else around.home / ".config") / "bzzz"


def read_forms(folders: Sequence[Path]) -> tuple[dict[str, Form], list[Fault]]:
    """The sound forms by file name, and the faults of the others."""
    return read_folder(folders, Form, forms.problems)


def read_library(folder: Path) -> tuple[Library, list[Fault]]:
    """The words of a folder over the usual ones, and the faults of files that were left out."""
    found, faults = read_folder([folder], Wording, library.problems)
    return Library(found), faults


def library_folder(settings: Settings, around: Surroundings) -> Path:
    return expand(settings.config.interface.prompt_library_path, around)


def check_texts(
    folders: Sequence[Path], settings: Sequence[Settings], around: Surroundings
) -> tuple[list[Path], list[Fault]]:
    """The files of forms and prompts under configuration folders, and in those that settings name; all their faults."""
    named = [one.config.interface for one in settings]
    templates = _once([folder / TEMPLATES for folder in folders], [one.message_templates_path for one in named], around)
    prompts = _once([folder / PROMPTS for folder in folders], [one.prompt_library_path for one in named], around)
    files = [path for folder in (*templates, *prompts) if folder.is_dir() for path in sorted(folder.glob("*.yaml"))]
    faults: list[Fault] = []
    for folder in templates:
        faults += read_forms([folder])[1]
    for folder in prompts:
        faults += read_library(folder)[1]
    return files, faults


def _once(beside: Sequence[Path], named: Sequence[str], around: Surroundings) -> list[Path]:
    """Each folder once, whichever way leads to it."""
    found = {folder.resolve(): folder for folder in (*(expand(path, around) for path in named), *beside)}
    return list(found.values())
