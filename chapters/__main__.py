"""The command line: `python -m chapters COMMAND`, installed as `bookcnn`."""
import argparse
import inspect
import json
import os
import shutil
import sys
from pathlib import Path
from unicodedata import east_asian_width

import chapters
from chapters.ch07_policy_net import POLICY
from chapters.kit.runtime import HOW_TO_INSTALL
from chapters.kit.trained.zoo import is_of_zoo
from chapters.script import add_distributed, add_run_options, changes_of, console, run_all
from data_tools.errors import Parser, UserError, one_line_errors

_WIDTH = max(60, min(120, shutil.get_terminal_size((80, 24)).columns))


def parser():
    """The parser of all commands."""
    parser = Parser('python -m chapters', description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    listed = commands.add_parser('list', help='the experiments, with the book\'s figure and the last measured one')
    listed.add_argument('section', nargs='?', default='', help='only those that begin so, such as 5 or 4.4')
    show = commands.add_parser('show', help='the network as a layer table, the recipe, the book\'s figures')
    show.add_argument('section')
    show.add_argument('--graph', metavar='FILE.png', help='also draw the network (needs graphviz)')
    show.add_argument('--set', metavar='KEY=VALUE', action='append', default=[], help='change a size of the network')
    run = commands.add_parser('run', help='run one or several experiments')
    run.add_argument('sections', nargs='*', metavar='SECTION',
                     help='as in `list`, or FILE.py:NAME of your own; none with --resume')
    add_run_options(run)
    add_distributed(run)
    launch = commands.add_parser('launch', help='train in several processes or on several machines (docs/SCALING.md)')
    launch.add_argument('-n', '--workers', type=int, required=True, metavar='N')
    launch.add_argument('-s', '--servers', type=int, default=1, metavar='N', help='that add up gradients (default 1)')
    launch.add_argument('-H', '--hosts', default='', metavar='A,B', help='machines to use by ssh (default: this one)')
    launch.add_argument('arguments', nargs=argparse.REMAINDER, metavar='run SECTION ...', help='what each worker does')
    parity = commands.add_parser('parity', help='prove that our networks compute what the book\'s listings compute')
    parity.add_argument('section', nargs='?')
    doctor = commands.add_parser('doctor', help='find out why a network does not learn (3.5, 3.6)')
    doctor.add_argument('sections', nargs=1, metavar='SECTION')
    add_run_options(doctor)
    rate = commands.add_parser('rate', help='find a learning rate: let it grow and watch the loss (3.3.1)')
    rate.add_argument('sections', nargs=1, metavar='SECTION')
    add_run_options(rate)
    profile = commands.add_parser('profile', help='where the time of a training step goes')
    profile.add_argument('sections', nargs=1, metavar='SECTION')
    profile.add_argument('--steps', type=int, default=10, metavar='N', help='to measure (default 10)')
    add_run_options(profile)
    predict = commands.add_parser('predict', help='what a trained network says of image files')
    predict.add_argument('run', metavar='RUN', help='its run folder, or zoo:NAME of one that comes along (see `zoo`)')
    predict.add_argument('paths', nargs='+', metavar='IMAGE', help='image files, or folders of them')
    predict.add_argument('--top', type=int, default=5, metavar='N', help='answers an image (default 5)')
    detect = commands.add_parser('detect', help='find objects in image files, draw boxes around them (5.7)')
    detect.add_argument('run', metavar='RUN', help='the run folder of a detector')
    detect.add_argument('paths', nargs='+', metavar='IMAGE', help='image files, or folders of them')
    detect.add_argument('--least', type=float, default=0.3, metavar='X', help='score to tell of (default 0.3)')
    detect.add_argument('--out', metavar='DIR', help='for pictures and detections.json (default: RUN/detected)')
    style = commands.add_parser('style', help='the content of one picture in the style of another (5.8)')
    style.add_argument('content', metavar='CONTENT', help='an image file, or the name of a photograph at hand')
    style.add_argument('style', metavar='STYLE', help='likewise; or a run folder of 5.8-fast, or zoo:5.8-fast')
    style.add_argument('--size', type=int, default=384, metavar='N', help='pixels of the longer side (default 384)')
    style.add_argument('--iterations', type=int, default=150, metavar='N')
    style.add_argument('--content-weight', type=float, default=0.03, metavar='X', help='alpha, where beta is 1')
    style.add_argument('--keep-colours', action='store_true', help='change only the brightness')
    style.add_argument('--out', metavar='DIR', help='the run folder to make (default: one under runs/); of 5.8-fast: the PNG')
    evaluate = commands.add_parser('evaluate', help='accuracy, mistakes and confusion of a trained network')
    evaluate.add_argument('run', metavar='RUN')
    evaluate.add_argument('--data', default='', metavar='NAME',
                          help='where its data are now, if they were moved; or others with the same classes')
    evaluate.add_argument('--crops', action='store_true', help='also as the mean over ten crops of each image (5.1.1)')
    evaluate.add_argument('--shifts', action='store_true',
                          help='also as the mean over images moved by a pixel, and mirrored where training mirrored them')
    evaluate.add_argument('--int8', action='store_true', help='also computed in 8-bit integers')
    evaluate.add_argument('--pixels', type=int, metavar='N', help='of a detector: on pictures of NxN (5.7.2)')
    look = commands.add_parser('look', help='draw what a trained network looks at (5.2)')
    look.add_argument('run', metavar='RUN')
    look.add_argument('image', metavar='IMAGE', help='an image file, or the number of a validation image')
    look.add_argument('--data', default='', metavar='NAME', help='where its data are now, if they were moved')
    look.add_argument('--layer', default='', metavar='NAME', help='to look into (default: the first convolution)')
    look.add_argument('--unit', type=int, metavar='N', help='of this layer (default: the most excited ones)')
    look.add_argument('--answer', metavar='CLASS', help='to explain (default: the network\'s own)')
    attack = commands.add_parser('attack', help='change what a network says of images, nearly unseen (9.2)')
    attack.add_argument('run', metavar='RUN', help='the run folder of a classifier, zoo:NAME, or imagenet: SqueezeNet')
    attack.add_argument('paths', nargs='*', metavar='IMAGE', help='image files, or folders of them')
    attack.add_argument('--test', type=int, metavar='N', help='in their place the first N test images of the run')
    attack.add_argument('--attack', default='pgd', metavar='NAME', help='fgsm, iterated, pgd or cw (default pgd)')
    attack.add_argument('--epsilon', type=float, default=8.0, metavar='X', help='of 255 that a pixel may move (default 8)')
    attack.add_argument('--target', default='', metavar='CLASS', help='to arrive at (default: any other class)')
    attack.add_argument('--data', default='', metavar='NAME', help='with --test: where its data are now, if they were moved')
    attack.add_argument('--out', metavar='DIR', help='for pictures and attack.json (default: RUN/attacked)')
    report = commands.add_parser('report', help='gather run folders into a table with curves')
    report.add_argument('runs', nargs='?', default='runs', help='folder of run folders (default: runs)')
    report.add_argument('--out', metavar='FILE', help='default: RESULTS.md in the folder of runs')
    zoo = commands.add_parser('zoo', help='the trained networks that come along: zoo:NAME in place of a run folder')
    zoo.add_argument('--add', nargs=2, metavar=('RUN', 'NAME'), help='put a finished run into it (CONTRIBUTING.md)')
    demo = commands.add_parser('demo', help='chapters 2 to 4 in short form on bundled digits; ends with a page')
    demo.add_argument('--out', default='runs/demo')
    play = commands.add_parser('play', help='play Go against a trained policy network in the terminal (7.3)')
    play.add_argument('--run', default=POLICY, metavar='RUN',
                      help=f'the run folder of a policy network (default: {POLICY}, which comes along)')
    play.add_argument('--visits', type=int, default=0, metavar='N', help='of the tree search; 0: the network alone')
    play.add_argument('--colour', choices=('black', 'white'), default='black', help='yours (default black)')
    play.add_argument('--size', type=int, default=19, help='of the board, 2 to 19 (default 19)')
    play.add_argument('--komi', type=float, help='default 7.5, with handicap 0.5')
    play.add_argument('--handicap', type=int, default=0, metavar='N', help='stones that black is given, on the star points')
    export = commands.add_parser('export', help='write a trained network as ONNX, or for SymbolBlock (4.5.5)')
    export.add_argument('run', metavar='RUN')
    export.add_argument('--onnx', action='store_true', help='model.onnx, checked against MXNet by onnxruntime')
    export.add_argument('--mxnet', action='store_true', help='model-symbol.json and model-0000.params')
    export.add_argument('--out', metavar='DIR', help='where to write (default: RUN/export)')
    serve = commands.add_parser(
        'serve', help='a page on which trained networks run in the browser: show pictures, draw digits, play Go')
    serve.add_argument('runs', nargs='*', metavar='RUN', help='default: all of the zoo that it can show')
    serve.add_argument('--host', default='127.0.0.1', help='0.0.0.0: also for other machines (default: this one only)')
    serve.add_argument('--port', type=int, default=8000, help='0: any that is free (default 8000)')
    return parser


@one_line_errors
def main(arguments=None):
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.command is None:
        parser().print_help()
        return 2
    try:
        return _COMMANDS[options.command](options) or 0
    except ModuleNotFoundError as error:
        if (error.name or '').split('.')[0] in ('chapters', 'data_tools', 'book_code', ''):
            raise
        raise UserError(f'{error.name} is not installed for {sys.executable}: {HOW_TO_INSTALL}') from None


def _experiment(address, options):
    """The experiment at a section or address, with the changes that the options ask for."""
    return chapters.find(address).by(getattr(options, 'recipe', '')).but(**changes_of(options))


def _run(options):
    if not options.resume and not options.sections:
        raise UserError('which section? `python -m chapters list` lists them; or FILE.py:NAME of your own')
    return run_all([chapters.find(section) for section in options.sections], options)


def _launch(options):
    from chapters.kit.training.launch import launch
    command = options.arguments
    if command[:1] != ['run']:
        raise UserError('launch: which run? For example: python -m chapters launch -n 2 run 4.4 --data digits')
    if '--distributed' not in command:
        command = [*command, '--distributed', 'dist_sync']
    return launch(command, options.workers, options.servers,
                  [host for host in options.hosts.split(',') if host])


def _list(options):
    """One line an experiment, variations under their section, as wide as the terminal."""
    last = _last_results()
    rows = [row for row in chapters.catalogue() if row['section'].startswith(options.section)]
    if not rows:
        chapters.find(options.section)  # says what there is
    print('section · title · data · recipes · the book · measured here last')
    for row in rows:
        result = last.get(row['section'], {'metrics': {}})
        metric = row['metric'] or next(iter(result['metrics']), '')
        words = ['  ' * ('-' in row['section']) + row['section'],
                 ' '.join(dict.fromkeys((row['title'], row['title_zh']))), row['data'], row['recipes'], row['book']]
        if metric in result['metrics']:
            measured = f'{result["metrics"][metric]["last"]:.6g}' + ('' if row['metric'] else f' {metric}')
            recipe = result.get('recipe_name') or 'book' * (',' in row['recipes'])
            other = ', '.join(filter(None, (Path(result['data']).name * (result['data'] != row['data']),
                                            f'recipe {recipe}' * bool(recipe), result['short'])))
            words.append(f'here {measured}' + (f' ({other})' if other else ''))
        print(_wrapped(' · '.join(filter(None, words))))


def _wrapped(text):
    """Text in lines as wide as the terminal, all but the first indented; Chinese characters take two columns."""
    lines = ['']
    for word in text.split(' '):
        joined = f'{lines[-1]} {word}' if lines[-1].strip() or not word else lines[-1] + word
        if sum(1 + (east_asian_width(letter) in 'WF') for letter in joined) > _WIDTH:
            lines.append(' ' * 8 + word)
        else:
            lines[-1] = joined
    return '\n'.join(lines)


def _last_results():
    """{section: its newest result.json below runs/}."""
    last = {}
    for path in sorted(Path('runs').glob('**/result.json'), key=lambda path: path.stat().st_mtime):
        try:
            result = json.loads(path.read_text(encoding='utf-8'))
            last[result['section']] = result
        except (ValueError, KeyError):
            continue
    return last


def _show(options):
    experiment = _experiment(options.section, options)
    experiment.require_network()
    print(f'{experiment.section}  {experiment.title}  {experiment.title_zh}')
    file = inspect.getsourcefile(experiment.source)
    line = inspect.getsourcelines(experiment.source)[1]
    print(f'source: {os.path.relpath(file)}, line {line}: {experiment.source.__qualname__}'
          + (f'; the book\'s graph: book_code/{experiment.symbolic}.py' if experiment.listing else ''))
    if experiment.recipe:
        name = experiment.recipe_label
        print(' '.join(filter(None, ('recipe', name))) + f': {experiment.recipe}')
        if name == 'book':
            print(f'recipe fast: {experiment.fast}')
    else:
        print(''.join(f'{name}={value}  ' for name, value in experiment.settings().items()).strip()
              or (inspect.getdoc(experiment.source) or '').strip())
    for figure in experiment.book:
        print(f'the book: {figure.metric} {figure.value:.6g}' + (f' on {figure.data}' if figure.data else '')
              + (f' ({figure.note})' if figure.note else ''))
    if experiment.remark:
        print(f'remark: {experiment.remark}')
    if not getattr(experiment, 'input_shape', ()):
        return
    from chapters.kit.networks.layer_table import draw_graph, layer_table, print_layer_table
    from chapters.kit.networks.layers import layers
    network = experiment.build()
    print_layer_table(layer_table(network, experiment.input_shape), console())
    print(f'layers, as `look --layer` takes them: {", ".join(layers(network))}')
    if options.graph:
        draw_graph(experiment.build(), experiment.input_shape, options.graph)
        print(options.graph)


def _parity(options):
    from chapters.kit.proof.parity import print_parity
    chosen = [chapters.find(options.section)] if options.section else chapters.listings()
    return print_parity(chosen, console())


def _begin(kind, options):
    """A run of an experiment that trains a network, in a folder of its own, to look into it."""
    from chapters.kit.trained.run import Run, free_folder
    if options.resume:
        raise UserError(f'{kind} looks at a network from its start: leave out --resume')
    experiment = _experiment(options.sections[0], options)
    if not experiment.trains and not (kind == 'profile' and experiment.shared):
        raise UserError(f'{experiment.section}: trains no network by a recipe')
    out = options.out or free_folder(f'{kind}-{experiment.section}', options.data or experiment.data, options.seed)
    return Run(experiment, options.data, options.data_root, out, options.seed, options.device, options.form, options.init,
               purpose=kind)


def _doctor(options):
    from chapters.kit.inside.doctor import examine_and_print
    return examine_and_print(_begin('doctor', options))


def _rate(options):
    from chapters.kit.inside.rate_finder import find_and_draw
    find_and_draw(_begin('rate', options))


def _profile(options):
    from chapters.kit.inside.profiling import print_profile, profile
    if options.steps < 1:
        raise UserError(f'--steps {options.steps}: give a number from 1 on')
    run = _begin('profile', options)
    print_profile(profile(run, options.steps), console())
    print(run.folder / 'trace.json')


def _predict(options):
    from rich.table import Table

    from chapters.kit.data.pictures import require_all
    from chapters.kit.trained.answers import predict_files
    from chapters.kit.trained.saved import load_run
    saved = load_run(options.run, chapters.find)
    table = Table('image', *['' for _ in range(min(options.top, len(saved.class_names)))])
    wrong: list = []
    for path, best in predict_files(saved, options.paths, options.top, wrong):
        table.add_row(str(path), *[f'{name} {share:.1%}' for name, share in best])
    console().print(table)
    if saved.facts.strokes:
        print('each picture made light on black and centred, as the digits that the network learnt from are')
    print(saved.folder / 'figures' / 'predict.png')
    require_all(wrong)


def _detect(options):
    from chapters.ch05_detection_style.detect import detect_files, load_detector
    from chapters.kit.data.pictures import require_all
    saved = load_detector(options.run, chapters.find)
    out = Path(options.out or saved.folder / 'detected')
    wrong: list = []
    for told in detect_files(saved, options.paths, out, options.least, wrong):
        print(f'{told["file"]}: ' + (', '.join(f'{one["class"]} {one["score"]:.0%}' for one in told['objects']) or 'nothing'))
    print(out / 'detections.json')
    require_all(wrong)


def _style(options):
    if is_of_zoo(options.style) or Path(options.style).is_dir():
        from chapters.ch05_detection_style.fast_style import restyle_file
        path, seconds = restyle_file(options.style, chapters.find, options.content, options.size, options.out)
        print(f'{path}: {seconds:.2f} s')
        return
    from chapters.kit.perform import run_experiment
    from chapters.script import print_result
    if options.out and os.path.exists(options.out):
        raise UserError(f'{options.out}: exists already and is kept as it is; choose another --out')
    experiment = chapters.find('5.8').but(
        content=options.content, style=options.style, size=options.size, iterations=options.iterations,
        content_weight=options.content_weight, keep_colours='true' if options.keep_colours else 'false')
    run, result = run_experiment(experiment, out=options.out)
    print_result(run, result)
    print(run.folder / 'figures' / 'made.png')


def _evaluate(options):
    from chapters.kit.trained.answers import evaluate
    from chapters.kit.trained.saved import detects, load_run
    if detects(options.run, chapters.find):
        from chapters.ch05_detection_style.detect import evaluate_detector, load_detector
        for name in ('crops', 'shifts', 'int8'):
            if getattr(options, name):
                raise UserError(f'{options.run}: --{name} is for classifiers, not for detectors (5.7)')
        saved = load_detector(options.run, chapters.find)
        if options.pixels is not None and options.pixels < 1:
            raise UserError(f'--pixels {options.pixels}: give a multiple of {saved.detector.network.stride}')
        data = saved.load_data(options.data, options.pixels or 0)
        for name, value in evaluate_detector(saved, data).items():
            print(f'{name:28} {value:.4f}')
        print(f'measured on {data.name}, {len(data.validation_x):,} validation pictures')
        print(saved.folder / 'figures')
        return
    if options.pixels is not None:
        raise UserError(f'{options.run}: --pixels is for detectors (5.7)')
    saved = load_run(options.run, chapters.find)
    data = saved.load_data(options.data)
    own = saved.is_own(data, options.data)
    for name, value in evaluate(saved, data, options.crops, options.int8, shifts=options.shifts, own=own).items():
        print(f'{name:28} {value:.4f}')
    print(f'measured on {data.name}, {len(data.validation_x):,} validation images'
          + ('' if own else f'; it was trained on {Path(saved.config["data"]).name}: nothing is kept for reports'))
    print(saved.folder / 'figures')


def _look(options):
    from chapters.kit.inside.looking import look
    from chapters.kit.trained.saved import load_run
    saved = load_run(options.run, chapters.find)
    try:
        data = saved.load_data(options.data)
    except UserError as error:
        if options.image.isdigit() or options.data:
            raise
        data = None
        print(f'without patches and t-SNE: {error}', file=sys.stderr)
    if data and options.image.isdigit() and not os.path.exists(options.image):
        if int(options.image) >= len(data.validation_x):
            raise UserError(f'image {options.image}: there are {len(data.validation_x)} validation images, from 0 on')
        image = data.validation_x[int(options.image)].astype('float32')
    else:
        image = saved.read_image(options.image)
    names = list(saved.class_names)
    if options.answer is not None and options.answer not in names:
        raise UserError(f'--answer {options.answer}: the classes are {", ".join(names)}')
    look(saved, image, data, options.layer, options.unit,
         None if options.answer is None else names.index(options.answer))


def _attack(options):
    from chapters.ch09_adversarial.attacked import attack_files, attack_test
    from chapters.ch09_adversarial.subject import load_subject
    from chapters.kit.data.pictures import require_all
    if bool(options.paths) == (options.test is not None):
        raise UserError('attack: name image files, or --test N for the first test images of the run')
    subject = load_subject(options.run)
    out = Path(options.out or subject.folder / 'attacked')
    settings = options.attack, options.epsilon, options.target
    wrong: list = []
    if options.paths:
        for told in attack_files(subject, options.paths, out, *settings, wrong):
            before, after = (f'{name} {share:.1%}' for name, share in (told['before'], told['after']))
            print(f'{told["file"]}: {before} -> {after}; a pixel moved by {told["mean"]:.2g} of 255, at most '
                  f'{told["largest"]:.3g}')
    else:
        for name, value in attack_test(subject, options.test, out, *settings, options.data).items():
            print(f'{name:36} {value:.4g}')
    print(out / 'attack.png')
    require_all(wrong)


def _report(options):
    from chapters.kit.report.report import write_results
    out = options.out or Path(options.runs) / 'RESULTS.md'
    done, *left_out = write_results(options.runs, out, chapters.experiments(), chapters.find)
    print(done)
    for line in left_out:
        print(line, file=sys.stderr)


def _play(options):
    from chapters.ch07_policy_net.play import play_in_terminal
    play_in_terminal(options.run, options.visits, options.colour, options.size, options.komi, options.handicap)


def _export(options):
    if not options.onnx and not options.mxnet:
        raise UserError('export: say what to write: --onnx, --mxnet or both')
    from chapters.kit.trained.export import export_mxnet, export_onnx, trained_graph
    graph = trained_graph(options.run, chapters.find)
    out = Path(options.out or graph.folder / 'export')
    if options.onnx:
        difference = export_onnx(graph, out / 'model.onnx')
        print(f'{out / "model.onnx"}: onnxruntime and MXNet differ by {difference:.1e} at most')
    if options.mxnet:
        difference = export_mxnet(graph, out)
        print(f'{out / "model-symbol.json"}, {out / "model-0000.params"}: SymbolBlock and the network differ by '
              f'{difference:.1e} at most')


def _zoo(options):
    """One line a network: name, title, what it was trained on, how good it is, its size."""
    from chapters import zoo
    for entry in [zoo.add(*options.add)] if options.add else zoo.entries():
        about = entry.about
        metric = next(iter(about['figures']), '')
        right = f'{about["accuracy"]:.2%} right' if about['accuracy'] is not None else \
            f'{metric.replace("_", " ")} {about["figures"][metric]:.4g}'
        print(_wrapped(' · '.join(filter(None, (
            about['name'], ' '.join(dict.fromkeys((entry.title, entry.title_zh))), about['data']['name'], right,
            f'recipe: {about["recipe"]}', f'{entry.size / 1e6:.2f} MB', f'licence of the data: {about["data"]["licence"]}')))))


def _serve(options):
    from chapters.kit.trained.serve import serve, shown_of_zoo
    serve(options.runs or shown_of_zoo(chapters.find), chapters.find, options.host, options.port,
          say=lambda line: print(line, flush=True))


def _demo(options):
    from chapters.demo import run_demo
    print(run_demo(options.out))


_COMMANDS = {'list': _list, 'show': _show, 'run': _run, 'launch': _launch, 'parity': _parity, 'doctor': _doctor,
             'rate': _rate, 'profile': _profile, 'predict': _predict, 'detect': _detect, 'style': _style,
             'evaluate': _evaluate, 'look': _look, 'attack': _attack,
             'report': _report, 'demo': _demo, 'play': _play, 'zoo': _zoo, 'export': _export, 'serve': _serve}

if __name__ == '__main__':
    sys.exit(main())
