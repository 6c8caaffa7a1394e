"""The command `fetch`."""
import argparse
import os


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    from data_tools.fetch import SOURCES
    parser = subparsers.add_parser('fetch', help='download a public data set',
                                   description='Download public data sets, checked against their SHA-256. '
                                   'What is there is checked too, and kept; what was interrupted goes on.')
    parser.add_argument('names', nargs='+', choices=sorted(SOURCES), metavar='NAME',
                        help=', '.join(sorted(SOURCES)))
    parser.add_argument('--data-root',
                        help='folder of the data sets (default: $BOOKCNN_DATA, else ~/.bookcnn/data)')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry the command out."""
    from data_tools.errors import UserError
    from data_tools.fetch import fetch, not_as_published
    root = options.data_root or os.environ.get('BOOKCNN_DATA') or '~/.bookcnn/data'
    for name in options.names:
        wrong = not_as_published(name, root)
        if wrong:
            raise UserError(f'{", ".join(map(str, wrong))}: there already, but not the published bytes (SHA-256); move '
                            f'it away, and fetch again')
        print(fetch(name, root))
