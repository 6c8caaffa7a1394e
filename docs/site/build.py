"""Build the site, in both languages, without network: `make site` writes it to `build/site`.

    python docs/site/build.py [FOLDER]

The sources are made from what the project has: the notebooks with their committed outputs, the guides of `docs/`, the
experiments' catalogue, the docstrings. It fails on a warning, on a dead link, on a request to another host, and on a
page without its translation (the interface from the docstrings is in English only).
"""
import html
import os
import posixpath
import re
import shutil
import subprocess
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
CHINESE = re.compile('[\u3400-\u9fff\uff08-\uff1f]')
LANGUAGES = ('en', 'zh')
SECTIONS = r'\d[\d.]*(?:-[\w-]+)?(?:, \d[\d.]*-[\w-]+)*'  # what a heading begins with: 4.4, or 5.7.2-cells, 5.7.2-voc
READ = ('.md', '.ipynb')  # pages with a twin in the other language
START = ('FIRST', 'INSTALL')  # the guides in the order in which one reads them; others come last
ORDER = (*START, 'COMMANDS', 'OWN', 'PACKING', 'DEPLOYMENT', 'CHAPTER5', 'DETECTION', 'GO', 'GAN', 'ADVERSARIAL', 'OUTLOOK',
         'SCALING', 'RESULTS', 'MEASURED', 'BENCHMARKS', 'SCREENS', 'CONTRIBUTING')
WORDS = {
    'en': dict(start='Begin here', chapters='Chapters', guides='Guides', api='Interface', notebook='Notebooks',
               section='section', what='experiment', figure='figures of the book', open='The notebook of this chapter',
               code='its functions and classes',
               run='A section leads to its place in the notebook. In a terminal, `python -m chapters show {0}` shows an '
                   'experiment and where its code stands, `python -m chapters run {0}` runs it; '
                   '[all commands](../guides/COMMANDS.md).'),
    'zh': dict(start='从这里开始', chapters='各章', guides='指南', api='接口', notebook='笔记本',
               section='小节', what='实验', figure='书中数值', open='本章的笔记本', code='本章的函数与类（英文）',
               run='点击小节即到笔记本中的相应位置。在终端中，`python -m chapters show {0}` 显示一个实验及其代码的位置，'
                   '`python -m chapters run {0}` 运行它；[全部命令](../guides/COMMANDS.md)。')}


def main(arguments):
    """Build into a folder; returns the exit code."""
    out = Path(arguments[0] if arguments else ROOT / 'build' / 'site').resolve()
    work = out.with_name(out.name + '-sources')
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    for language in LANGUAGES:
        sources(work / language, language)
    for name in sorted(path.relative_to(work / 'en') for path in (work / 'en').rglob('*.*') if path.suffix in READ):
        add_headings(work, name)
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda language: sphinx(work / language, out / language, language), LANGUAGES))
    if any(codes):
        return 1
    shutil.rmtree(out / 'jupyter_execute', ignore_errors=True)  # where myst-nb unpacks pictures
    (out / 'index.html').write_text(
        '<!doctype html><meta charset="utf-8"><title>en / zh</title><script>location.replace(navigator.language.startsWith'
        '("zh") ? "zh/index.html" : "en/index.html")</script><a href="en/index.html">English</a> '
        '<a href="zh/index.html">中文</a>\n', encoding='utf-8')
    complaints = complaints_of(out)
    print('\n'.join(complaints) or f'{out}: {len(list(out.rglob("*.html")))} pages')
    return 1 if complaints else 0


def sphinx(source, out, language):
    """Run Sphinx; every warning is an error."""
    return subprocess.run([sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-b', 'html', '-c', str(HERE),
                           '-d', f'{source}-doctrees', str(source), str(out)],
                          env={**os.environ, 'BOOKCNN_LANGUAGE': language}).returncode


def sources(folder, language):
    """Write the sources of one language."""
    import chapters
    suffix, words = '.zh-CN.md' if language == 'zh' else '.md', WORDS[language]
    guides = {path.name[:-3]: path for path in [*sorted((ROOT / 'docs').glob('*.md')), ROOT / 'CONTRIBUTING.md']
              if not path.name.endswith('.zh-CN.md')}
    guides = {name: guides[name] for name in [*filter(guides.get, ORDER), *(name for name in guides if name not in ORDER)]}
    pages = {path.resolve(): f'guides/{name}.md' for name, path in guides.items()}
    pages.update({path.with_name(f'{name}.zh-CN.md').resolve(): f'guides/{name}.md' for name, path in guides.items()})
    for name in ('README.md', 'README.zh-CN.md'):
        pages[ROOT / name] = 'index.md'
    notebooks = sorted((ROOT / 'notebooks').glob('ch*.ipynb'))
    pages.update({path.resolve(): f'notebooks/{path.name}' for path in notebooks})
    called = {page: re.search('^# (.*)', path.read_text(encoding='utf-8'), re.M).group(1) for path, page in pages.items()
              if path.suffix == '.md' and path.exists() and path.name.endswith('.zh-CN.md') == (language == 'zh')}

    def links(text, origin, at):
        """Links to pages of the site; to files that are none, as their names only."""
        def one(match):
            label, target = match.groups()
            path, mark, anchor = target.partition('#')
            if re.match('https?:|mailto:|#', target) or label.startswith('!'):
                return match.group(0)
            page = pages.get((origin.parent / path).resolve())
            if page is None:
                return f'{label}'
            if label.strip('`').endswith('.md'):  # here are pages, and no files
                label = called.get(page, label)
            if not path.endswith(('.md', '.ipynb')) or re.match(r'L\d', anchor):
                anchor = mark = ''
            return f'[{label}]({posixpath.relpath(page, posixpath.dirname(at) or ".")}{mark}{anchor})'
        text = re.sub(r'(?<!!)\[([^\]\[]*)\]\(([^)\s]+)\)', one, text)

        def picture(match):
            path = (origin.parent / match.group(2)).resolve()
            (folder / 'pictures').mkdir(exist_ok=True)
            shutil.copy(path, folder / 'pictures' / path.name)
            return f'![{match.group(1)}]({posixpath.relpath("pictures/" + path.name, posixpath.dirname(at) or ".")})'
        return re.sub(r'!\[([^\]]*)\]\(([^)\s]+)\)', picture, text)

    if language == 'zh':
        (folder / 'locales' / 'zh_CN' / 'LC_MESSAGES').mkdir(parents=True)
        shutil.copy(HERE / 'zh_CN.po', folder / 'locales' / 'zh_CN' / 'LC_MESSAGES' / 'sphinx.po')
    for name in ('chapters', 'guides', 'notebooks', *['api'] * (language == 'en')):
        (folder / name).mkdir(parents=True)
    for name, path in guides.items():
        twin = path.with_name(f'{name}{suffix}')
        path = twin if twin.exists() else path
        text = re.sub(r'^\[(中文|中文说明|English)\]\([^)]*\)\n', '', path.read_text(encoding='utf-8'), count=1, flags=re.M)
        if name == 'RESULTS' and language == 'zh':
            text = text.replace('# Results', '# 结果\n\n由 `python -m chapters report` 从运行文件夹写出；“here”是各随机种子'
                                '最后一轮的平均值，括号内为最小与最大值。', 1)
        (folder / 'guides' / f'{name}.md').write_text(links(text, path, f'guides/{name}.md'), encoding='utf-8')
    about = dict(re.findall(r'^## (\w+)\n(.*?)(?=^## |\Z)', (HERE / f'chapters{suffix}').read_text(encoding='utf-8'),
                            re.M | re.S))
    for path in notebooks:
        notebook = nbformat.read(path, 4)
        titles = [one_language(cell.source, language) for cell in notebook.cells if cell.cell_type == 'markdown']
        places = set()
        for cell in notebook.cells:
            if cell.cell_type == 'markdown':
                cell.source = links(one_language(cell.source, language), path, f'notebooks/{path.name}')
                cell.source = with_places(cell.source, path.stem, places)
            for output in cell.get('outputs', ()):
                if 'text/markdown' in output.get('data', {}):
                    output.data['text/markdown'] = links(output.data['text/markdown'], path, f'notebooks/{path.name}')
                if 'image/png' in output.get('data', {}):
                    output.data.pop('text/plain', None)
        nbformat.write(notebook, folder / 'notebooks' / path.name)
        lines = [titles[0].splitlines()[0], '', *about[path.stem].strip().replace('\n', '\n\n').splitlines(), '',
                 f'[{words["open"]}](../notebooks/{path.name}) · <a href="{"../" if language == "en" else "../../en/"}api/'
                 f'chapters.{path.stem}.html">{words["code"]}</a>', '',
                 f'| {words["section"]} | {words["what"]} | {words["figure"]} |', '| --- | --- | --- |']
        code = ''.join(cell.source for cell in notebook.cells if cell.cell_type == 'code')
        shown = [experiment for experiment in chapters.experiments()
                 if experiment.section.split('.')[0] == path.stem[3] and f"'{experiment.section}'" in code]
        for experiment in shown:
            figures = ', '.join(f'{figure.metric.replace("_", " ")} {figure.value:g}' for figure in experiment.book[:3])
            title = experiment.title if language == 'en' else experiment.title_zh or experiment.title
            section = experiment.section
            place = section if section in places else section.split('-')[0]  # variants may stand side by side in one place
            lines.append(f'| {f"[{section}](#{path.stem}-{place})" if place in places else section} | {title} | {figures} |')
        example = next((experiment for experiment in shown if hasattr(experiment, 'network')), shown[0])
        lines += ['', words['run'].format(example.section)]
        (folder / 'chapters' / f'{path.stem}.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')

    def tree(caption, names):
        return f'\n```{{toctree}}\n:caption: {caption}\n:maxdepth: 1\n:hidden:\n\n' + '\n'.join(names) + '\n```\n'
    text = (HERE / f'index{suffix}').read_text(encoding='utf-8')
    text += tree(words['start'], [f'guides/{name}' for name in START])
    text += tree(words['chapters'], [f'chapters/{path.stem}' for path in notebooks])
    text += tree(words['notebook'], [f'notebooks/{path.stem}' for path in notebooks])
    text += tree(words['guides'], [f'guides/{name}' for name in guides if name not in START])
    if language == 'en':
        text += tree(words['api'], interface(folder / 'api'))
    (folder / 'index.md').write_text(text, encoding='utf-8')


def with_places(text, chapter, places):
    """Markdown with a place to link to, (CHAPTER-SECTION)=, before the first heading of every section; `places` keeps these."""
    def mark(match):
        new = [section for section in match.group(1).split(', ') if section not in places]
        places.update(new)
        return ''.join(f'({chapter}-{section})=\n' for section in new) + match.group(0)
    return re.sub(f'^#+ ({SECTIONS}) ', mark, text, flags=re.M)


def add_headings(work, name):
    """Give a page the headings of its twin, unseen: a search finds it by the terms of either language."""
    texts = {language: (work / language / name).read_text(encoding='utf-8') for language in LANGUAGES}
    for language, other in zip(LANGUAGES, reversed(LANGUAGES)):
        if name.suffix == '.ipynb':
            cells = nbformat.reads(texts[other], 4).cells
            text = '\n\n'.join(cell.source for cell in cells if cell.cell_type == 'markdown')
        else:
            text = re.sub(r'^```.*?^```$', '', texts[other], flags=re.M | re.S)
        unseen = ' / '.join(html.escape(heading) for heading in re.findall(r'^#+ (.*)', text, re.M))
        unseen = f'<div hidden lang="{other}">{unseen}</div>\n'
        if name.suffix == '.ipynb':
            notebook = nbformat.reads(texts[language], 4)
            notebook.cells.append(nbformat.v4.new_markdown_cell(unseen, id='headings'))
            nbformat.write(notebook, work / language / name)
        else:
            (work / language / name).write_text(f'{texts[language]}\n{unseen}', encoding='utf-8')


def interface(folder):
    """A page for each package with code, from the docstrings; returns the pages' names."""
    packages: dict = {}
    for top in ('chapters', 'data_tools', 'book_code'):
        for path in sorted((ROOT / top).rglob('*.py')):
            parts = path.relative_to(ROOT).with_suffix('').parts
            if parts[-1] not in ('__init__', '__main__') and 'page' not in parts and 'zoo' not in parts:
                packages.setdefault('.'.join(parts[:-1]), []).append('.'.join(parts))
    for package, modules in packages.items():
        text = f'{package}\n{"=" * len(package)}\n'
        for module in modules:
            text += f'\n{module}\n{"-" * len(module)}\n\n.. automodule:: {module}\n'
        (folder / f'{package}.rst').write_text(text, encoding='utf-8')
    return [f'api/{package}' for package in packages]


def one_language(text, language):
    """Markdown in two languages, one paragraph after the other, as that of one."""
    blocks, kept, number = re.split(r'\n\n+', text), [], 0
    while number < len(blocks):
        block = blocks[number]
        following = blocks[number + 1] if number + 1 < len(blocks) else ''
        if re.match(r'#+ |<details>', block) and ' · ' in block:
            start, english, chinese = re.match(r'(#+ |<details><summary>)(.*?) · (.*)', block).groups()
            start += (re.match(f'{SECTIONS} ', english) or [''])[0] if language == 'zh' else ''
            kept.append(start + (english if language == 'en' else chinese) +
                        ('</summary>' if 'summary' in start and language == 'en' else ''))
        elif prose(block) and not CHINESE.search(block) and prose(following) and CHINESE.search(following):
            kept.append(block if language == 'en' else following)
            number += 1
        elif prose(block) and re.match(r'[^·]* · [^·]*:', block):  # one label for a formula
            english, chinese, rest = re.match(r'(.*?) · ([^:]*)(:.*)', block, re.S).groups()
            kept.append((english if language == 'en' else chinese) + rest)
        elif '  \n' in block and prose(block):
            lines = [line for line in block.split('  \n') if bool(CHINESE.search(line)) == (language == 'zh')]
            kept.append('  \n'.join(lines))
        else:
            kept.append(block)
        number += 1
    return '\n\n'.join(kept)


def prose(block):
    """Whether a block of Markdown is a paragraph of words."""
    return bool(block) and not re.match(r'#|\||\$\$|```|<', block)


def complaints_of(out):
    """Dead links, links to nowhere on a page, requests to other hosts, pages without a twin."""
    found, anchors, texts = [], {}, {}
    for path in out.rglob('*.html'):
        texts[path] = path.read_text(encoding='utf-8')
        anchors[path] = {html.unescape(name) for name in re.findall(r'\bid="([^"]+)"', texts[path])}
    for path, text in texts.items():
        where = path.relative_to(out)
        article = re.search('<article.*?</article>', text, re.S)
        if article and re.search(r'<a\b[^>]*\bhref="#"', article.group()):
            found.append(f'{where}: a link leads to the page itself')
        for tag, link in re.findall(r'<(\w+)\b[^>]*?\b(?:href|src)="([^"]*)"', text):
            link = html.unescape(link)
            if re.match(r'(https?:)?//', link):
                if tag != 'a':
                    found.append(f'{where}: asks another host for {link}')
                continue
            if re.match(r'[a-z]+:(?!///)', link) or not link:
                continue
            name, _, anchor = link.partition('#')
            name = urllib.parse.unquote(name.partition('?')[0])
            target = (path.parent / name).resolve() if name else path
            if not target.exists():
                found.append(f'{where}: dead link {link}')
            elif anchor and target in anchors and urllib.parse.unquote(anchor) not in anchors[target]:
                found.append(f'{where}: {link} names no place there')
    names = {language: {path.relative_to(out / language).as_posix() for path in (out / language).rglob('*.html')}
             for language in LANGUAGES}
    english_only = ('api/', '_modules/', 'genindex', 'py-modindex')
    found += [f'{name}: no translation' for name in sorted(names['en'] ^ names['zh']) if not name.startswith(english_only)]
    return sorted(set(found))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
