"""Programs that a benchmark measures with, beside this one."""

import shutil


class ProgramFailed(Exception):
    """A program could not be run, or failed; the message says why and what to do."""


def path_of(program: str, *, package: str) -> str:
    """Returns where a program is. Raises `ProgramFailed`, naming the package that brings it."""
    found = shutil.which(program)
    if found is None:
        raise ProgramFailed(
            f"There is no {program}. Install the package {package} (`apt-get install {package}`) and run this again."
        )
    return found
