"""vstore completion: the script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vstore.cli import options
from vstore.cli.session import Session, pass_session

# Behind a directory one goes on with what is in it, without a space.  Fish does so by itself.
_NO_SPACE = "[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace"
_ZSH_DIRECTORIES = "compadd -U -S '' -V unsorted -- ${(M)completions:#*/}"
_ZSH_OTHERS = "compadd -U -V unsorted -- ${completions:#*/}"
_CHANGES = {
    "bash": ("    return 0\n", f"    {_NO_SPACE}\n    return 0\n"),
    "zsh": ("compadd -U -V unsorted -a completions", f"{_ZSH_DIRECTORIES}\n        {_ZSH_OTHERS}"),
}


@options.verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
@pass_session
def command(session: Session, ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete vstore.

    \b
    bash:  eval "$(vstore completion bash)"      in ~/.bashrc
    zsh:   eval "$(vstore completion zsh)"       in ~/.zshrc
    fish:  vstore completion fish | source       in ~/.config/fish/config.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None
    script = completion(ctx.find_root().command, {}, "vstore", "_VSTORE_COMPLETE").source()
    script = script.replace(*_CHANGES.get(shell, ("", "")))
    session.say([script.rstrip("\n")])
