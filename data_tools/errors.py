"""The one way in which every command of this project reports a user's mistake."""
import argparse
import functools
import os
import sys
from typing import Any, Callable, NoReturn


class UserError(Exception):
    """A mistake of the user's, told in one line: what is wrong, where, and what to do.

    Commands print it on stderr and exit with code 2; a bug of the program keeps its traceback.
    """


class Parser(argparse.ArgumentParser):
    """A parser of arguments that tells a mistake in one line, and how to see the usage, in place of the usage itself."""
    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {" ".join(message.split())}; {self.prog} --help tells how to use it\n')


def one_line_errors(main: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command's `main`: a `UserError` becomes one line on stderr and exit code 2."""
    @functools.wraps(main)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print('error: ' + ' '.join(str(error).split()), file=sys.stderr)
            return 2
        except KeyboardInterrupt as error:
            print(str(error) or 'stopped', file=sys.stderr)
            return 130
        except BrokenPipeError:  # `... | head` closed our output; keep Python from complaining at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
    return wrapped
