"""`python -m shiftboss`: the same as the command `shiftboss`."""

from shiftboss.cli import main

if __name__ == "__main__":
    main()
