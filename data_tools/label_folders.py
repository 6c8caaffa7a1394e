"""The command `by-label`: files named like `123_frog.png` into a folder a label (book section 5.4.5).

All three modes build the whole tree beside its final place and rename it: the folder is there with every file
or not at all. Moving is that with hard links, and only then are the old names taken away; the note
`.by-label` in the folder tells a later call how to finish or to undo it.
"""
import argparse
import errno
import filecmp
import json
import os
import shutil
from typing import Any, Dict, List, Tuple

from data_tools.atomic import write_error
from data_tools.errors import UserError
from data_tools.whole_folder import FileTree, whole_folder

_NOTE = '.by-label'


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    parser = subparsers.add_parser(
        'by-label', help='arrange files named like 123_frog.png in a folder a label',
        description='Arrange files named like 123_frog.png as OUT/frog/123_frog.png. OUT appears when it is '
                    'whole.')
    parser.add_argument('folder', metavar='DIR', help='with --undo: the OUT of an earlier call')
    parser.add_argument('labels', metavar='labels.txt', nargs='?', help='one label a line')
    parser.add_argument('--out', metavar='OUT', help='default: DIR_by_label')
    parser.add_argument('--mode', choices=['link', 'copy', 'move'], default='link',
                        help='link: a second name for the same file, no space needed (default); copy; move')
    parser.add_argument('--move', action='store_const', const='move', dest='mode',
                        help='the same as --mode move')
    parser.add_argument('--numbers', action='store_true',
                        help='name the folders 0, 1, 2, ... by the line in labels.txt; `pack` keeps such '
                        'numbers, while it numbers names as they sort')
    parser.add_argument('--undo', action='store_true',
                        help='put moved files back, remove linked and copied ones')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry the command out."""
    if options.undo:
        if options.labels or options.out:
            raise UserError('by-label --undo takes one folder, the OUT of the call that is to be undone')
        print('{:,} files: undone ({})'.format(*undo(options.folder)))
        return
    if options.labels is None:
        raise UserError('by-label needs labels.txt: a file with one label a line')
    out = options.out or options.folder.rstrip('/') + '_by_label'
    count, labels, folders = arrange(options.folder, options.labels, out, options.mode, options.numbers)
    print(f'{count:,} files -> {folders} folders in {out}'
          + (f'; {len(labels) - folders} of the labels have no file' if folders < len(labels) else ''))
    if not options.numbers and labels != sorted(labels):
        print('note: labels.txt is not sorted, and `pack` numbers names as they sort; --numbers keeps the '
              'order of labels.txt')


def arrange(folder: str, labels_path: str, out: str, mode: str = 'link',
            numbers: bool = False) -> Tuple[int, List[str], int]:
    """Arrange files by the label in their names.

    Parameters
    ----------
    folder : str
        Its files are named NUMBER_LABEL.ENDING; what is hidden does not count.
    labels_path : str
        Text file, one label a line.
    out : str
        The folder to make. If it is there, made of `folder` by an interrupted move, the move is finished.
    mode : {'link', 'copy', 'move'}
    numbers : bool
        Folders 0, 1, ... by the line of the label instead of its name.

    Returns
    -------
    (int, list of str, int)
        Number of files; the labels; the folders, which are fewer if a label has no file.

    Raises
    ------
    UserError
        A file has no known label (the line names it), or something is in the way; all is as it was then.
    """
    labels = _read_labels(labels_path)
    folder, out = os.path.realpath(folder), os.path.realpath(out)
    note = _read_note(out)
    if note is None:
        places = _places(folder, labels_path, labels, numbers)
        with whole_folder(out) as part:
            tree = FileTree(part)
            for name, place in places.items():
                _put(os.path.join(folder, name), tree.place(place), mode == 'copy')
            _write_note(part, {'folder': folder, 'mode': mode, 'done': mode != 'move', 'places': places})
        note = _read_note(out)
    elif note['folder'] != folder or note['mode'] != mode or mode != 'move' or note['done']:
        raise UserError(f'{out}: is there already; choose another --out, or undo it: by-label --undo {out}')
    if not note['done']:
        try:
            for name, place in note['places'].items():
                _take_away(os.path.join(folder, name), os.path.join(out, place))
            _write_note(out, dict(note, done=True))
        except OSError as error:
            raise write_error(error, folder) from None
    return len(note['places']), labels, len({os.path.dirname(place) for place in note['places'].values()})


def undo(out: str) -> Tuple[int, str]:
    """Undo `arrange`; a folder half undone by an interrupted call is finished.

    Returns
    -------
    (int, str)
        Number of files, what became of them.

    Raises
    ------
    UserError
        `out` was not made by `arrange`, or a file of another content has the old name.
    """
    out = os.path.realpath(out)
    gone = out + '.undone'
    note = _read_note(out)
    if note is None and os.path.isdir(gone) and not os.path.exists(out):
        note = _read_note(gone) or {'places': ()}  # an interrupted call had only this left to do
        _clear_away(gone)
        return len(note['places']), 'put back before, the rest cleared away'
    if note is None:
        raise UserError(f'{out}: was not made by by-label, or holds no note of it ({_NOTE})')
    try:
        found = sum(not _is_litter(name) for _, _, files in os.walk(out) for name in files)
        if found != len(note['places']):
            raise UserError(f'{out}: holds {found} files where by-label put {len(note["places"])}; add or '
                            f'remove what differs, then undo')
        if note['mode'] == 'move':
            os.makedirs(note['folder'], exist_ok=True)
            for name, place in note['places'].items():
                old, new = os.path.join(note['folder'], name), os.path.join(out, place)
                if not os.path.lexists(old):
                    _put(new, old, copy=False)
                elif not _same(old, new):
                    raise UserError(f'{old}: a file of another content has this name now; move it away, then '
                                    f'undo')
            os.sync()
        os.rename(out, gone)  # all at once; what is left to do is to clear it away
        _clear_away(gone)
    except OSError as error:
        raise write_error(error, out) from None
    return len(note['places']), 'moved back' if note['mode'] == 'move' else f'{note["mode"]} removed'


def _is_litter(name: str) -> bool:
    """Hidden files (our own note too), and what Windows leaves in folders."""
    return name[0] == '.' or name.lower() in ('thumbs.db', 'desktop.ini')


def _clear_away(gone: str) -> None:
    """Remove an undone folder, its note last."""
    for entry in list(os.scandir(gone)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
    for name in sorted(os.listdir(gone), key=_NOTE.__eq__):
        os.unlink(os.path.join(gone, name))
    os.rmdir(gone)


def _read_labels(path: str) -> List[str]:
    try:
        with open(path, encoding='utf-8-sig') as file:  # Windows begins its text files with a mark
            labels = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: cannot be read '
                        f'({getattr(error, "strerror", None) or "not UTF-8"})') from None
    for label in labels:
        if '/' in label or label in ('.', '..') or label[0] == '.' or labels.count(label) > 1:
            raise UserError(f'{path}: {label!r} cannot be the name of a folder' if labels.count(label) == 1
                            else f'{path}: {label!r} is there twice')
    if not labels:
        raise UserError(f'{path}: holds no labels')
    return labels


def _places(folder: str, labels_path: str, labels: List[str], numbers: bool) -> Dict[str, str]:
    """{name of a file: its path in the new folder}; every file has one."""
    try:
        with os.scandir(folder) as entries:
            files = sorted((entry.name, entry.is_file(follow_symlinks=False)) for entry in entries
                           if not _is_litter(entry.name))
    except OSError as error:
        raise UserError(f'{folder}: cannot be read ({error.strerror})') from None
    number_of = {label: number for number, label in enumerate(labels)}
    places = {}
    for name, is_file in files:
        if not is_file:
            raise UserError(f'{folder}: {name} is a folder or a link; by-label takes a folder of files only')
        label = os.path.splitext(name)[0].partition('_')[2]
        if label not in number_of:
            raise UserError(f'{os.path.join(folder, name)}: its label {label!r} is not in {labels_path}; '
                            f'files are to be named NUMBER_LABEL.ENDING')
        places[name] = f'{number_of[label] if numbers else label}/{name}'
    if not places:
        raise UserError(f'{folder}: holds no files')
    return places


def _put(source: str, target: str, copy: bool) -> None:
    """Hard link, or copy where that is asked for or the disks differ."""
    if not copy:
        try:
            os.link(source, target, follow_symlinks=False)
            return
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
    partial = target + '.part'
    shutil.copy2(source, partial)
    os.replace(partial, target)


def _take_away(old: str, new: str) -> None:
    """Remove the old name of a file, if it is surely the same."""
    if os.path.lexists(old):
        if not _same(old, new):
            raise UserError(f'{old}: was changed while it was moved; it stays, as does {new}')
        os.unlink(old)


def _same(old: str, new: str) -> bool:
    return os.path.samefile(old, new) or filecmp.cmp(old, new, shallow=False)


def _write_note(folder: str, note: Dict[str, Any]) -> None:
    path = os.path.join(folder, _NOTE)
    with open(path + '.new', 'w', encoding='utf-8') as file:
        json.dump(note, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + '.new', path)


def _read_note(out: str) -> Any:
    try:
        with open(os.path.join(out, _NOTE), encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f'{os.path.join(out, _NOTE)}: damaged ({error})') from None
