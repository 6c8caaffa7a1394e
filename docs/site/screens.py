"""Photograph pages of the built site for docs/SCREENS.md: in both languages, on a desk and on a phone.

    make site && python docs/site/screens.py [FOLDER]

writes FOLDER (default: docs/screens) anew. Chromium must be installed, with a font for Chinese.
"""
import functools
import http.server
import io
import shutil
import sys
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SIZES = {'desktop': {'width': 1480, 'height': 900}, 'phone': {'width': 390, 'height': 844}}
# What a page is called in a file's name: its address, and what is to be seen of it.
PAGES = {
    'notebook-ch02': ('notebooks/ch02_neuron', 'math'),
    'notebook-ch04': ('notebooks/ch04_cnn', 'table:has-text("class LeNet")'),
    'notebook-ch06': ('notebooks/ch06_alphago', 'table:has-text("class AlphaGoPolicy")'),
    'site-index': ('index', 'h1'),
    'site-ch05': ('chapters/ch05_deep_cnn', 'h1'),
    'site-own': ('guides/OWN', 'h1'),
}
QUALITY = 55  # of WebP


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Nothing."""


def main(out=ROOT / 'docs' / 'screens', site=ROOT / 'build' / 'site'):
    """Write the pictures; returns their paths."""
    out, written = Path(out), []
    out.mkdir(exist_ok=True)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as play:
        path = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))))
        browser = play.chromium.launch(executable_path=path, args=['--no-sandbox'])
        for kind, size in SIZES.items():
            page = browser.new_page(viewport=size)
            for language in ('en', 'zh'):
                for name, (address, seen) in PAGES.items():
                    page.goto(f'http://127.0.0.1:{server.server_address[1]}/{language}/{address}.html')
                    if seen != 'h1':
                        page.locator('article').locator(seen).first.evaluate(
                            'one => window.scrollTo(0, one.getBoundingClientRect().top + window.scrollY - 120)')
                    page.wait_for_timeout(300)
                    written.append(out / f'{name}-{language}-{kind}.webp')
                    with Image.open(io.BytesIO(page.screenshot())) as picture:
                        picture.convert('RGB').save(written[-1], quality=QUALITY, method=6)
            page.close()
        browser.close()
    server.shutdown()
    return written


if __name__ == '__main__':
    print(sum(path.stat().st_size for path in main(*sys.argv[1:])), 'bytes')
