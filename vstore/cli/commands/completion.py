"""vstore completion: the script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vstore.cli import options
from vstore.cli.session import Session, pass_session


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
    session.say([script.rstrip("\n")])
