"""The command `shiftboss`.

Rules of this folder
- Data on stdout, talk on stderr.  What people see is a table, what programs read is `--json`.
- A command is a file of `commands/`, imported when it is called; rich is imported on a terminal only.
- A command returns its exit code; errors become one in `exits.py`, nowhere else.
"""


def main() -> None:
    """The entry point of the console script."""
    from shiftboss.cli.own_arguments import take_arguments

    arguments = take_arguments()  # before anything else: others can see them

    from shiftboss.cli.root import root

    root.main(arguments, prog_name="shiftboss")
