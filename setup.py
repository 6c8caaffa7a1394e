"""Installation: `pip install -e .[cpu]`, or better `make setup`, which installs the locked versions."""
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# Not needed to run a chapter; extras of their own.
NOTEBOOKS = ('jupyter', 'nbconvert', 'nbclient', 'papermill', 'ipywidgets', 'ipykernel', 'argon2-cffi-bindings')
TEST = ('pytest', 'pytest-xdist', 'pytest-cov', 'playwright', 'build', 'wheel', 'uv')
LINT = ('ruff', 'mypy')
CLUSTER = ('dask',)


def requirements(file):
    """The lines of a requirements/*.in file as {name of the package: [lines]}."""
    found = {}
    for line in (HERE / 'requirements' / file).read_text(encoding='utf-8').splitlines():
        line = line.split('#')[0].strip()
        if line and not line.startswith('-'):
            found.setdefault(re.match(r'[\w.-]+', line).group(), []).append(line)
    return found


def lines(found, names):
    return [line for name in names for line in found[name]]


packages = requirements('packages.in')
chapters = lines(packages, [name for name in packages if name not in NOTEBOOKS + TEST + LINT + CLUSTER])
# GluonCV asks for opencv-python; without this pin pip would take a version that needs a newer numpy.
chapters = [line.replace('opencv-python-headless', 'opencv-python') for line in chapters]

setup(
    name='bookcnn',
    version=(HERE / 'VERSION').read_text(encoding='utf-8').strip(),
    description="The programs of Peng Bo's book on deep convolutional networks, alive in MXNet Gluon",
    license='Apache-2.0',
    python_requires='>=3.8,<3.13',
    packages=find_packages(include=['chapters*', 'book_code*', 'data_tools*']),
    # In whichever package they lie: pages that reports are written into, the page of `serve`, trained networks.
    package_data={'': ['templates/*', 'page/dist/*', 'zoo/**/*']},
    extras_require={
        'cpu': chapters + lines(requirements('cpu.in'), requirements('cpu.in')),
        'cu112': chapters + lines(requirements('cu112.in'), requirements('cu112.in')),
        'notebooks': lines(packages, NOTEBOOKS),
        'test': lines(packages, TEST),
        'lint': lines(packages, LINT),
        'cluster': ['dask[distributed]'],
        'remote': ['fsspec', 'aiohttp', 's3fs'],  # `pack` reads and writes where fsspec reaches
    },
    entry_points={'console_scripts': ['bookcnn = chapters.__main__:main']},
)
