"""All benchmarks, one after the other, and the page made of them.

    python -m benchmarks [NAME ...]     # measure all, or these, and write docs/BENCHMARKS.md
    python -m benchmarks --only-write   # from what was measured before

It takes an hour or two and wants the machine for itself. PyTorch: see `python -m benchmarks.training --help`; data:
BOOKCNN_DATA names the folder.
"""
import argparse
import subprocess
import sys

from benchmarks.book import write_page

NAMES = ('startup', 'training', 'mends', 'pipeline', 'packing', 'go', 'mcts', 'gan', 'growth', 'roofline')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(NAMES)}')
    parser.add_argument('--only-write', action='store_true')
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f'no benchmark {", ".join(sorted(unknown))}; there are {", ".join(NAMES)}')
    failed = []
    for name in () if options.only_write else options.names or NAMES:
        print(f'== {name}', flush=True)
        if subprocess.run([sys.executable, '-m', f'benchmarks.{name}']).returncode:
            failed.append(name)
    print(write_page())
    if failed:
        print(f'failed: {", ".join(failed)}', file=sys.stderr)
    return len(failed)


if __name__ == '__main__':
    sys.exit(main())
