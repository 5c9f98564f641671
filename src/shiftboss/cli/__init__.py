"""The command `shiftboss`.

Rules of this folder
- Data goes to stdout, everything else to stderr.  People get a table, programs get `--json`.
- A command is a file in `commands/`, imported when it is called; rich is imported only on a terminal.
- A command returns its exit code; errors become exit codes in `exits.py` and nowhere else.
"""


def main() -> None:
    """The entry point of the console script."""
    from shiftboss.cli.own_arguments import take_arguments

    arguments = take_arguments()  # before anything else: other users can see the arguments

    from shiftboss.cli.root import root

    root.main(arguments, prog_name="shiftboss")
