"""[tool.shiftboss] in pyproject.toml, or shiftboss.toml: options that need not be typed.

Rules of this file
- The options that many commands share are at the top (`store`, `app`), those of one command in its table
  (`[tool.shiftboss.run] shutdown-timeout = "20s"`).
- What is typed takes precedence, then the environment, then the file.
- A key that nobody reads is an error: otherwise an ignored setting is found out at three in the morning.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from shiftboss.errors import ConfigurationError, did_you_mean

SHARED = ("app", "store", "debug")


class Settings(msgspec.Struct, frozen=True):
    """What a file says, and which file.  Empty if there is none."""

    values: dict[str, Any] = {}
    source: str = ""

    def for_command(self, command: click.Command, path: tuple[str, ...]) -> dict[str, Any]:
        """Defaults for the parameters of the command at *path*.  Raises ConfigurationError for unknown keys."""
        keys = _keys(command)
        defaults = {name: self.values[word] for word, name in _shared(command).items() if word in self.values}
        for word, value in self._table(path).items():
            key = word.replace("_", "-")
            if isinstance(command, click.Group) and isinstance(value, dict):
                continue  # the table of a subcommand
            if key not in keys:
                hint = did_you_mean(key, keys)
                raise ConfigurationError(f"{self.source}: {' '.join(path)} has no setting {word!r}; {hint}")
            defaults[keys[key]] = value
        return defaults

    def _table(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        table: dict[str, Any] = self.values
        for word in path:
            section = table.get(word, {})
            if not isinstance(section, dict):
                given = "a text" if isinstance(section, str) else repr(section)  # it may be an address with a password
                raise ConfigurationError(f"{self.source}: {word!r} is a command and needs a table, not {given}")
            table = section
        return table


def read_settings(folder: Path, *, commands: tuple[str, ...]) -> Settings:
    """The settings of a folder; shiftboss.toml takes precedence over pyproject.toml.  Raises ConfigurationError."""
    own, project = folder / "shiftboss.toml", folder / "pyproject.toml"
    if own.is_file():
        return _checked(Settings(_load(own), own.name), commands)
    if project.is_file():
        table = _load(project).get("tool", {}).get("shiftboss", {})
        return _checked(Settings(table, f"{project.name} [tool.shiftboss]"), commands)
    return Settings()


def _load(file: Path) -> dict[str, Any]:
    import tomllib  # 4 ms of import, only where there is a file

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{file.name} cannot be read: {error}") from error


def _checked(settings: Settings, commands: tuple[str, ...]) -> Settings:
    known = (*SHARED, *commands)
    for word in settings.values:
        if word not in known:
            if word == "tool":
                raise ConfigurationError(f"{settings.source}: its keys are at the top level, without [tool.shiftboss]")
            raise ConfigurationError(f"{settings.source} has no setting {word!r}; {did_you_mean(word, known)}")
    return settings


def _shared(command: click.Command) -> dict[str, str]:
    """The parameters that really are the shared ones, not only named alike (the demo has a store of its own)."""
    words = {f"SHIFTBOSS_{word.upper()}": word for word in SHARED}
    return {words[param.envvar]: param.name for param in command.params if param.envvar in words and param.name}


def _keys(command: click.Command) -> dict[str, str]:
    """What may be set in a file → the parameter's own name.  Of the arguments only APP, which is also an option."""
    keys = {}
    for param in command.params:
        if isinstance(param, click.Option) and param.name is not None and not param.is_eager:
            longest = max(param.opts, key=len)
            keys[longest.lstrip("-")] = param.name
        elif param.name == "app":
            keys["app"] = "app"
    return keys
