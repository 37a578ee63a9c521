"""``autolv_doctor``: versions, cores, memory, devices, what will be used, and what is known to be bad."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autolv.cli.arguments import add_common, new_parser
from autolv.cli.run import root_of, run, show_next


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "autolv_doctor",
        "Tell what autolv has to work with on this machine, what it will use, and which versions are known to be bad.",
        "autolv_doctor",
    )
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(build_parser(), argv, _doctor)


def _doctor(args: argparse.Namespace) -> None:
    from autolv.pipeline.doctor import doctor, next_command

    print(doctor(root=root_of(args)))
    command = next_command(root=root_of(args))
    if command is not None:
        show_next(args, command)
