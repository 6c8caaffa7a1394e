"""The command `to-images`: IDX and CIFAR-10 files as image files in a folder a class."""
import argparse

from data_tools.errors import UserError


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    parser = subparsers.add_parser(
        'to-images', help='turn IDX and CIFAR-10 files into image files',
        description='Write the images of IDX or CIFAR-10 files as OUT/CLASS/NUMBER.png. OUT appears when it '
                    'is whole.')
    parser.add_argument('source', metavar='SRC',
                        help='as for `pack`: IDX images, CIFAR-10 batches, their folder or '
                        'their archive')
    parser.add_argument('out', metavar='OUT')
    parser.add_argument('--labels', help='IDX file of the labels, if it is not beside the images')
    parser.add_argument('--encoding', choices=['png', 'jpg'], default='png',
                        help='default png, which loses nothing')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry the command out."""
    from tqdm import tqdm

    from data_tools.images import reencode
    from data_tools.sources import Pixels, open_source
    from data_tools.whole_folder import FileTree, whole_folder

    source = open_source(options.source, labels=options.labels)
    if not isinstance(source, Pixels):
        raise UserError(f'{options.source}: its images are files already; SRC is to be IDX or CIFAR-10 files')
    with whole_folder(options.out) as folder:
        tree = FileTree(folder)
        for number in tqdm(range(source.count), desc='to-images', unit=' images', disable=None):
            path = source.path(number).rpartition('.')[0]
            tree.write(f'{path}.{options.encoding}', reencode(source.images[number], options.encoding))
    print(f'{source.count:,} images -> {options.out}')
