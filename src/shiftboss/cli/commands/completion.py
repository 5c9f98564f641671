"""`shiftboss completion`: the script that a shell needs to complete commands, options and worker names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from shiftboss.cli import messages
from shiftboss.cli.command import SettingsCommand, examples
from shiftboss.cli.exits import Exit


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        'eval "$(shiftboss completion bash)"                       in ~/.bashrc',
        'eval "$(shiftboss completion zsh)"                        in ~/.zshrc',
        "shiftboss completion fish > ~/.config/fish/completions/shiftboss.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print completion for bash, zsh or fish.

    It completes commands, options, and worker names from the store.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}.")
    root = ctx.find_root().command
    messages.program(kind(root, {}, "shiftboss", "_SHIFTBOSS_COMPLETE").source())
    return Exit.DONE
