"""`python -m data_tools`: pack images, look into packs, arrange and download data sets."""
import importlib
import shlex
import sys
from typing import Optional, Sequence

from data_tools.errors import Parser, one_line_errors

# Command -> the module whose `add_commands(subparsers)` adds it, and what it is for. Only the module of the
# command that is called is imported, so that no command waits for what another needs.
COMMANDS = {
    'pack': ('data_tools.pack_command', 'pack images into RecordIO'),
    'im2rec': ('data_tools.im2rec_command', "MXNet's im2rec.py, option for option"),
    'rec': ('data_tools.rec_commands', 'look into, check, take apart and mend RecordIO packs'),
    'by-label': ('data_tools.label_folders', 'arrange files named like 123_frog.png in a folder a label'),
    'to-images': ('data_tools.to_images', 'turn IDX and CIFAR-10 files into image files'),
    'fetch': ('data_tools.fetch_command', 'download a public data set'),
    'go': ('data_tools.go.commands', 'pack the positions of Go games, look at packs, verify them'),
}


def command_line(arguments: Sequence[str]) -> str:
    """The call, for a note of how something was made; without what does not change the outcome."""
    with_value = ('--workers', '--num-thread', '--dask')
    kept = [argument for before, argument in zip([''] + list(arguments), arguments)
            if argument not in with_value + ('--resume',) and before not in with_value]
    return 'python -m data_tools ' + ' '.join(map(shlex.quote, kept))


@one_line_errors
def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser(prog='python -m data_tools', description=__doc__.split(': ', 1)[1])
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    called = next((argument for argument in arguments if not argument.startswith('-')), None)
    for command, (module, purpose) in COMMANDS.items():
        if command == called:
            importlib.import_module(module).add_commands(subparsers)
        else:
            subparsers.add_parser(command, help=purpose)
    options = parser.parse_args(arguments)
    options.command_line = command_line(arguments)
    return options.run(options) or 0


if __name__ == '__main__':
    sys.exit(main())
