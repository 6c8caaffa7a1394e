"""The command `fetch`."""
import os


def add_commands(subparsers):
    from data_tools.fetch import SOURCES
    parser = subparsers.add_parser('fetch', help='download a public data set',
                                   description='Download public data sets, checked against their SHA-256. '
                                   'What is there is kept; what was interrupted goes on.')
    parser.add_argument('names', nargs='+', choices=sorted(SOURCES), metavar='NAME',
                        help=', '.join(sorted(SOURCES)))
    parser.add_argument('--data-root',
                        help='folder of the data sets (default: $BOOKCNN_DATA, else ~/.bookcnn/data)')
    parser.set_defaults(run=run)


def run(options):
    """Carry the command out."""
    from data_tools.fetch import fetch
    root = options.data_root or os.environ.get('BOOKCNN_DATA') or '~/.bookcnn/data'
    for name in options.names:
        print(fetch(name, root))
