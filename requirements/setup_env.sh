#!/usr/bin/env bash
# Make .venv once and install a lock into it. Called by the Makefile; a second call ends at once.
#
#   PYTHON=/path/to/python   use this one; otherwise the best one on PATH or under pyenv is taken
#   LOCK=cpu | cu112         requirements/cpu.txt (default), or requirements/cu112.txt for NVIDIA GPUs
#   --say-what-next          end by telling what can be done now, in one line if nothing was to be installed
#
# .venv holds two marks of ours: `made-by-make`, so that nobody else's environment is ever removed, and
# `installed-HASH`, written when everything is in, so that an interrupted installation is repeated.
set -u
cd "$(dirname "$0")/.." || exit 1

PYTHON=${PYTHON:-}
LOCK=${LOCK:-cpu}
next=${1:-}
lock=requirements/$LOCK.txt
versions='3.10 3.11 3.9 3.8 3.12'  # preferred first: most was measured on 3.10, 3.12 needs the most mending
needed_mb=${BOOKCNN_NEEDED_MB:-2500}
[ "$LOCK" = cu112 ] && needed_mb=${BOOKCNN_NEEDED_MB:-8000}

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ -f "$lock" ] || fail "$lock: no such lock; LOCK is cpu or cu112"

# Prints "3.10 /real/path/of/python" if $1 can make an environment for this project, else why not (and fails).
# Really runs it: pyenv puts names on PATH that only say "version not installed".
examine() {
    "$1" - <<'PYTHON' 2>/dev/null || { echo 'does not run'; return 1; }
import sys
try:
    version = '%d.%d' % sys.version_info[:2]
    if not (3, 8) <= sys.version_info[:2] <= (3, 12):
        print('is Python %s, not 3.8 to 3.12' % version)
    else:
        missing = []
        for module in ('venv', 'ensurepip', 'ssl', 'zlib', 'bz2', 'lzma', 'ctypes', 'sqlite3'):
            try:
                __import__(module)
            except ImportError:
                missing.append(module)
        if missing == ['ensurepip'] or 'venv' in missing:
            print('is Python %s without venv; apt-get install python%s-venv' % (version, version))
        elif missing:
            print('is Python %s built without %s' % (version, ', '.join(missing)))
        elif sys.maxsize < 2 ** 32:
            print('is a 32-bit Python')
        else:
            # base: this may run inside the very .venv that is about to be replaced
            print('ok %s %s' % (version, getattr(sys, '_base_executable', sys.executable)))
except Exception as error:
    print('fails: %s' % error)
PYTHON
}

# Sets `python` and `version`, or fails with one line.
find_python() {
    local wanted candidate answer reasons=''
    if [ -n "$PYTHON" ]; then
        answer=$(examine "$PYTHON")
        case $answer in
            ok*) read -r _ version python <<< "$answer"; return ;;
            *) fail "PYTHON=$PYTHON $answer" ;;
        esac
    fi
    for wanted in $versions; do
        for candidate in $(type -aP "python$wanted") $(type -aP python3) $(type -aP python) \
                         "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$wanted".*/bin/python; do
            [ -x "$candidate" ] || continue
            answer=$(examine "$candidate")
            case $answer in
                "ok $wanted "*) read -r _ version python <<< "$answer"; return ;;
                ok* | 'does not run' | *'not 3.8 to 3.12') ;;
                *) reasons="${reasons:-$candidate $answer}" ;;
            esac
        done
    done
    fail "no usable Python 3.8 to 3.12 on PATH or under pyenv${reasons:+ ($reasons)};" \
         "install one (apt-get install python3 python3-venv) or say make PYTHON=/path/to/python"
}

# The mark of a complete installation: of which lock, for which Python, in which folder (.venv cannot move).
mark() {
    echo ".venv/installed-$(cat "$lock" <(echo "$1 $PWD") | cksum | tr ' ' -)"
}

# One setup at a time: a second `make` in another terminal waits here.
exec 9< "$lock"
if type -P flock > /dev/null; then flock 9; fi

if [ -x .venv/bin/python ] && [ -f .venv/made-by-make ]; then
    have=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    if [ -n "$have" ] && [ -f "$(mark "$have")" ]; then
        if [ -z "$PYTHON" ] || { find_python; [ "$version" = "$have" ]; }; then
            [ -z "$next" ] || echo "ready: .venv has Python $have and $lock; source .venv/bin/activate"
            exit 0
        fi
    fi
fi

find_python
if [ -e .venv ] && [ ! -f .venv/made-by-make ]; then
    fail ".venv exists and was not made by this script: move it away"
fi
free_mb=$(df -Pk . | awk 'NR == 2 {print int($4 / 1024)}')
if [ "${free_mb:-$needed_mb}" -lt "$needed_mb" ]; then
    fail "no room for .venv: $PWD has $free_mb MB free and needs $needed_mb MB; free some and run again"
fi

echo "making .venv with Python $version ($python) from $lock; this is done once and takes a few minutes"
{ rm -rf .venv && mkdir .venv && : > .venv/made-by-make; } 2> /dev/null ||
    fail "$PWD/.venv cannot be made: may not write here, or no space left"
log=$PWD/.venv/install.log
if ! "$python" -m venv .venv > "$log" 2>&1; then
    fail "$python -m venv .venv failed: $(tail -n 1 "$log") (log: $log)"
fi

# Messages of pip go to the log; its progress is shown where somebody watches.
if [ -t 1 ]; then exec 3>&1; else exec 3> /dev/null; fi
if ! .venv/bin/python -m pip install --no-deps --no-compile --no-input --log "$log" -r "$lock" >&3 2>> "$log"; then
    if grep -q -e 'No space left' -e 'Errno 28' -e 'Disk quota' "$log"; then
        fail "the disk is full: free some space in $PWD and ${TMPDIR:-/tmp}, then run again (log: $log)"
    elif grep -q -e 'NewConnectionError' -e 'name resolution' -e 'ConnectTimeout' -e 'ReadTimeout' \
              -e 'ProxyError' -e 'Connection refused' -e 'Connection reset' -e 'SSLError' "$log"; then
        fail "no connection to the Python package index: check the network, or point pip to a mirror" \
             "(pip config set global.index-url ...), then run again (log: $log)"
    fi
    fail "pip could not install $lock: $(grep -a 'ERROR' "$log" | head -n 1 | sed 's/^[^ ]* *//') (log: $log)"
fi
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Here, and not by pip: on all processors, and without the packages' own tests. Left to Python's first imports it would be done at
# every start where PYTHONDONTWRITEBYTECODE is set, as in many containers: `import mxnet` took 3.2 s there, and takes 1.8.
.venv/bin/python -W ignore -m compileall -qq -j 0 -x '/tests?/' "$packages" >> "$log" 2>&1 || :
# MXNet's wheel for Linux on arm64 was linked with Arm's own libraries, which no distribution has. OpenBLAS and the C
# library have the same functions; MXNet looks for libraries beside itself first.
if [ "$(uname -sm)" = 'Linux aarch64' ] && [ -e "$packages/mxnet" ]; then
    while read -r wanted have; do
        found=$(ls -d /usr/lib/aarch64-linux-gnu/"$have" /usr/lib64/"$have" /lib64/"$have" 2> /dev/null | head -n 1)
        [ -n "$found" ] || fail "$have: not found; apt-get install liblapacke libopenblas0-pthread, then run again"
        ln -sf "$found" "$packages/mxnet/$wanted"
    done <<< 'libarmpl_lp64_mp.so liblapacke.so.3
libamath.so libm.so.6
libastring.so libc.so.6'
fi
# The project itself, where it is, and its command. By hand, because pip would have to build something for it.
echo "$PWD" > "$packages/bookcnn.pth"
printf '#!/bin/sh\nexec "%s" -m chapters "$@"\n' "$PWD/.venv/bin/python" > .venv/bin/bookcnn
chmod +x .venv/bin/bookcnn

: > "$(mark "$version")"

if [ -n "$next" ]; then
    echo "ready: .venv has Python $version and all of $lock. What next:"
    echo '    source .venv/bin/activate'
    echo '    python -m chapters list     # the experiments of the book; from any folder: bookcnn list'
    echo '    make demo                   # train the first networks and write runs/demo/index.html'
fi
