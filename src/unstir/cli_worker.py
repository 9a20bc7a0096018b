"""``unstir worker``: does the jobs of DAW scripts."""

import argparse
from pathlib import Path


def add_worker(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir worker``."""
    worker = commands.add_parser(
        "worker",
        help="do the job of a DAW script",
        description="Do what a job file of a DAW script says. Progress, results and errors are "
        "written to\nstatus.txt beside it, twice a second; a file named cancel there ends the "
        "work. The same job\ngiven again goes on where it stopped.",
        epilog="example:\n  unstir worker jobs/1/job.txt\n\n"
        "exit codes: 0 done, 2 refused (see status.txt), 130 cancelled",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    worker.add_argument("job", metavar="JOBFILE", type=Path, help="written by the script")
    worker.set_defaults(run=_worker)


def _worker(options: argparse.Namespace) -> int:
    from unstir.worker import work

    return work(options.job)
