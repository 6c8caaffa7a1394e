"""Datasets on disk: IDX and CIFAR files, RecordIO packing, game records, downloads. Knows nothing of networks."""
from importlib import metadata
from pathlib import Path


def version() -> str:
    """The version of this project: of the clone, or of what is installed; 'unknown' of a copy of the code alone."""
    of_clone = Path(__file__).parents[1] / 'VERSION'
    try:
        return of_clone.read_text(encoding='utf-8').strip() if of_clone.exists() else metadata.version('bookcnn')
    except metadata.PackageNotFoundError:
        return 'unknown'
