"""The command line: `python -m chapters COMMAND`, installed as `bookcnn`."""
import argparse
import importlib
import json
import sys
from pathlib import Path

import chapters
from data_tools.errors import UserError, one_line_errors


@one_line_errors
def main(arguments=None):
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser('python -m chapters', description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    commands.add_parser('list', help='the experiments, with the book\'s figure and the last measured one')
    show = commands.add_parser('show', help='the network as a layer table, the recipe, the book\'s figures')
    show.add_argument('section')
    show.add_argument('--graph', metavar='FILE.png', help='also draw the network (needs graphviz)')
    show.add_argument('--set', metavar='KEY=VALUE', action='append', default=[], help='change a size of the network')
    run = commands.add_parser('run', help='run one or several experiments')
    run.add_argument('sections', nargs='*', metavar='SECTION', help='as in `list`; none with --resume')
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
    predict.add_argument('run', metavar='RUN', help='its run folder')
    predict.add_argument('paths', nargs='+', metavar='IMAGE', help='image files, or folders of them')
    predict.add_argument('--top', type=int, default=5, metavar='N', help='answers an image (default 5)')
    evaluate = commands.add_parser('evaluate', help='accuracy, mistakes and confusion of a trained network')
    evaluate.add_argument('run', metavar='RUN')
    evaluate.add_argument('--crops', action='store_true', help='also as the mean over ten crops of each image (5.1.1)')
    evaluate.add_argument('--int8', action='store_true', help='also computed in 8-bit integers')
    look = commands.add_parser('look', help='draw what a trained network looks at (5.2)')
    look.add_argument('run', metavar='RUN')
    look.add_argument('image', metavar='IMAGE', help='an image file, or the number of a validation image')
    look.add_argument('--layer', default='', metavar='NAME', help='to look into (default: the first convolution)')
    look.add_argument('--unit', type=int, metavar='N', help='of this layer (default: the most excited ones)')
    look.add_argument('--answer', metavar='CLASS', help='to explain (default: the network\'s own)')
    report = commands.add_parser('report', help='gather run folders into a table with curves')
    report.add_argument('runs', nargs='?', default='runs', help='folder of run folders (default: runs)')
    report.add_argument('--out', metavar='FILE', help='default: RESULTS.md in the folder of runs')
    demo = commands.add_parser('demo', help='chapters 2 to 4 in short form on bundled digits; ends with a page')
    demo.add_argument('--out', default='runs/demo')
    play = commands.add_parser('play', help='play Go against a trained policy network in the terminal (7.3)')
    play.add_argument('--run', required=True, metavar='RUN', help='the run folder of a policy network')
    play.add_argument('--visits', type=int, default=0, metavar='N', help='of the tree search; 0: the network alone')
    play.add_argument('--colour', choices=('black', 'white'), default='black', help='yours (default black)')
    play.add_argument('--size', type=int, default=19, help='of the board, 2 to 19 (default 19)')
    play.add_argument('--komi', type=float, default=7.5)
    export = commands.add_parser('export', help='write a trained network as ONNX, or for SymbolBlock (4.5.5)')
    export.add_argument('run', metavar='RUN')
    export.add_argument('--onnx', action='store_true', help='model.onnx, checked against MXNet by onnxruntime')
    export.add_argument('--mxnet', action='store_true', help='model-symbol.json and model-0000.params')
    export.add_argument('--out', metavar='DIR', help='where to write (default: RUN/export)')
    serve = commands.add_parser(
        'serve', help='a page on which trained networks run in the browser: draw digits, play Go')
    serve.add_argument('runs', nargs='+', metavar='RUN')
    serve.add_argument('--host', default='127.0.0.1', help='0.0.0.0: also for other machines (default: this one only)')
    serve.add_argument('--port', type=int, default=8000, help='0: any that is free (default 8000)')
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    return globals()[f'_{options.command}'](options) or 0


def run_script(section):
    """The `__main__` of a chapter's script: its own experiment, with the options of `run`."""
    parser = argparse.ArgumentParser(description=f'Runs the experiment of section {section}.')
    add_run_options(parser)
    add_distributed(parser)
    options = parser.parse_args()
    options.sections = [] if options.resume else [section]
    sys.exit(one_line_errors(_run)(options))


def add_run_options(parser):
    """The options that every run takes."""
    parser.add_argument('--data', metavar='NAME', default='',
                        help='mnist, fashion, digits, cifar10, a folder of four IDX files, or one of train.rec and '
                        'test.rec')
    parser.add_argument('--data-root', metavar='DIR', help='where data sets lie (then $BOOKCNN_DATA, ~/.bookcnn/data)')
    parser.add_argument('--epochs', type=int, metavar='N')
    parser.add_argument('--subset', type=int, metavar='N', help='train on the first N samples only')
    parser.add_argument('--batch-size', type=int, metavar='N')
    parser.add_argument('--learning-rate', type=float, metavar='X')
    parser.add_argument('--dtype', metavar='TYPE', help='float32, or bfloat16 or float16 where the device can')
    parser.add_argument('--seed', type=int, default=0, metavar='N')
    parser.add_argument('--device', default='auto', metavar='NAME', help='auto, cpu, gpu or gpu:0,1')
    parser.add_argument('--form', default='gluon', choices=('gluon', 'symbolic'),
                        help='symbolic: the book\'s own graph, trained by mx.mod.Module')
    parser.add_argument('--init', metavar='FILE', help='start from the parameters of a .params file')
    parser.add_argument('--out', metavar='DIR', help='the run folder to make (default: one under runs/)')
    parser.add_argument('--resume', metavar='DIR', help='go on with a run that was stopped')
    parser.add_argument('--set', metavar='KEY=VALUE', action='append', default=[],
                        help='any field of the recipe or size of the network')


def add_distributed(parser):
    """The option for several workers, which `horovodrun` or `launch` start."""
    parser.add_argument('--distributed', default='', choices=('horovod', 'dist_sync'), metavar='ENGINE',
                        help='horovod, under horovodrun; or dist_sync, MXNet\'s parameter server, under `launch`')


def changed_experiment(section, options):
    """The experiment of a section with the changes that the command line asks for."""
    changes = {name: getattr(options, name) for name in ('epochs', 'batch_size', 'learning_rate', 'dtype')
               if getattr(options, name, None) is not None}
    if getattr(options, 'subset', None) is not None:
        changes['train_samples'] = options.subset
    for text in options.set:
        name, equals, value = text.partition('=')
        if not equals or not name:
            raise UserError(f'--set {text}: give KEY=VALUE')
        changes[name.replace('-', '_')] = value
    experiment = chapters.find(section)
    return experiment.but(**changes) if changes else experiment


def _run(options):
    from chapters.kit.distributed import join, larger_batch
    if options.resume and options.sections:
        raise UserError('--resume takes everything from the run folder: leave out the section')
    if not options.resume and not options.sections:
        raise UserError('which section? `python -m chapters list` lists them')
    if options.out and len(options.sections) > 1:
        raise UserError('--out holds one run: give one section, or leave it out')
    with join(options.distributed) as workers:
        from chapters.kit.program import resume, run_experiment
        results = [resume(options.resume, chapters.find, workers)] if options.resume else []
        for section in options.sections:
            experiment = workers.together(lambda: changed_experiment(section, options))
            if experiment.shared and 'batch_size' not in experiment.changed:
                experiment = experiment.but(**larger_batch(experiment.recipe, workers.size))
            results.append(run_experiment(
                experiment, workers=workers, data=options.data, data_root=options.data_root, out=options.out,
                seed=options.seed, device_name=options.device, form=options.form, init=options.init))
    for run, result in results if not workers.rank else ():
        print_result(run, result)


def _launch(options):
    from chapters.kit.launch import launch
    command = options.arguments
    if command[:1] != ['run']:
        raise UserError('launch: which run? For example: python -m chapters launch -n 2 run 4.4 --data digits')
    if '--distributed' not in command:
        command = [*command, '--distributed', 'dist_sync']
    return launch(command, options.workers, options.servers,
                  [host for host in options.hosts.split(',') if host])


def print_result(run, result):
    """Our figures beside the book's, and where the run folder is."""
    from rich.table import Table
    table = Table('figure', 'the book', 'here')
    for name, value in result['metrics'].items():
        printed = result['book'].get(name)
        table.add_row(name, f'{printed:.6g}' if printed is not None else '', f'{value["last"]:.6g}')
    console().print(table)
    if result['note']:
        print(result['note'])
    print(run.folder)


def console():
    """A terminal, or a wide page where the output goes into a pipe."""
    from rich.console import Console
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=170)


def _list(options):
    from rich.table import Table
    last = {}
    for path in sorted(Path('runs').glob('**/result.json'), key=lambda path: path.stat().st_mtime):
        try:
            result = json.loads(path.read_text(encoding='utf-8'))
            last[result['section']] = result
        except (ValueError, KeyError):
            continue
    table = Table('section', 'title', '标题', 'data', 'the book', 'last measured')
    for experiment in chapters.experiments():
        printed = experiment.book[0] if experiment.book else None
        measured = ''
        if experiment.section in last:
            result = last[experiment.section]
            metric = printed.metric if printed else next(iter(result['metrics']), '')
            if metric in result['metrics']:
                measured = f'{result["metrics"][metric]["last"]:.6g}'
                if result['data'] != experiment.data or result['short']:
                    measured += f' ({result["data"]}{", " + result["short"] if result["short"] else ""})'
        table.add_row(experiment.section, experiment.title, experiment.title_zh, experiment.data,
                      f'{printed.value:.6g} {printed.metric}' if printed else '', measured)
    console().print(table)


def _show(options):
    options.epochs = options.batch_size = options.learning_rate = None
    experiment = changed_experiment(options.section, options)
    print(f'{experiment.section}  {experiment.title}  {experiment.title_zh}')
    if experiment.recipe:
        print(f'recipe: {experiment.recipe}')
    for figure in experiment.book:
        print(f'the book: {figure.metric} {figure.value:.6g}' + (f' on {figure.data}' if figure.data else '')
              + (f' ({figure.note})' if figure.note else ''))
    if not experiment.network:
        print(importlib.import_module(experiment.module).__doc__.strip())
        return
    from chapters.kit.layer_table import draw_graph, layer_table, print_layer_table
    print_layer_table(layer_table(experiment.build(), experiment.input_shape), console())
    if options.graph:
        draw_graph(experiment.build(), experiment.input_shape, options.graph)
        print(options.graph)


def _parity(options):
    from chapters.kit.parity import print_parity
    chosen = [chapters.find(options.section)] if options.section else chapters.listings()
    return print_parity(chosen, console())


def _doctor(options):
    from chapters.kit.doctor import examine_and_print
    experiment = changed_experiment(options.sections[0], options)
    return examine_and_print(experiment, options)


def _rate(options):
    from chapters.kit.rate_finder import find_and_draw
    from chapters.kit.run import Run, free_folder
    experiment = changed_experiment(options.sections[0], options)
    if not experiment.trains:
        raise UserError(f'{experiment.section}: trains no network by a recipe')
    out = options.out or free_folder(f'rate-{experiment.section}', options.data or experiment.data, options.seed)
    find_and_draw(Run(experiment, options.data, options.data_root, out, options.seed, options.device))


def _profile(options):
    from chapters.kit.profiling import print_profile, profile
    from chapters.kit.run import Run, free_folder
    if options.steps < 1:
        raise UserError(f'--steps {options.steps}: give a number from 1 on')
    experiment = changed_experiment(options.sections[0], options)
    out = options.out or free_folder(f'profile-{experiment.section}', options.data or experiment.data, options.seed)
    run = Run(experiment, options.data, options.data_root, out, options.seed, options.device, options.form,
              options.init)
    print_profile(profile(run, options.steps), console())
    print(run.folder / 'trace.json')


def _predict(options):
    from chapters.kit.answers import predict_files
    from chapters.kit.saved import load_run
    from rich.table import Table
    saved = load_run(options.run, chapters.find)
    table = Table('image', *['' for _ in range(min(options.top, len(saved.class_names)))])
    for path, best in predict_files(saved, options.paths, options.top):
        table.add_row(str(path), *[f'{name} {share:.1%}' for name, share in best])
    console().print(table)
    print(saved.folder / 'figures' / 'predict.png')


def _evaluate(options):
    from chapters.kit.answers import evaluate
    from chapters.kit.saved import load_run
    saved = load_run(options.run, chapters.find)
    for name, value in evaluate(saved, options.crops, options.int8).items():
        print(f'{name:28} {value:.4f}')
    print(saved.folder / 'figures')


def _look(options):
    from chapters.kit.looking import look
    from chapters.kit.saved import load_run
    saved = load_run(options.run, chapters.find)
    data = saved.load_data()
    if options.image.isdigit() and int(options.image) < len(data.validation_x):
        image = data.validation_x[int(options.image)].astype('float32')
    else:
        image = saved.read_image(options.image)
    names = list(saved.class_names)
    if options.answer is not None and options.answer not in names:
        raise UserError(f'--answer {options.answer}: the classes are {", ".join(names)}')
    look(saved, image, data, options.layer, options.unit,
         None if options.answer is None else names.index(options.answer))


def _report(options):
    from chapters.kit.report import write_results
    out = options.out or Path(options.runs) / 'RESULTS.md'
    done, *left_out = write_results(options.runs, out, chapters.experiments(), chapters.find)
    print(done)
    for line in left_out:
        print(line, file=sys.stderr)


def _play(options):
    from chapters.ch07_policy_net.play import play_in_terminal
    play_in_terminal(options)


def _export(options):
    if not options.onnx and not options.mxnet:
        raise UserError('export: say what to write: --onnx, --mxnet or both')
    from chapters.kit.export import export_mxnet, export_onnx, trained_graph
    graph = trained_graph(options.run, chapters.find)
    out = Path(options.out or graph.folder / 'export')
    if options.onnx:
        difference = export_onnx(graph, out / 'model.onnx')
        print(f'{out / "model.onnx"}: onnxruntime and MXNet differ by {difference:.1e} at most')
    if options.mxnet:
        difference = export_mxnet(graph, out)
        print(f'{out / "model-symbol.json"}, {out / "model-0000.params"}: SymbolBlock and the network differ by '
              f'{difference:.1e} at most')


def _serve(options):
    from chapters.kit.serve import serve
    serve(options.runs, chapters.find, options.host, options.port, say=lambda line: print(line, flush=True))


def _demo(options):
    from chapters.demo import run_demo
    print(run_demo(options.out))


if __name__ == '__main__':
    sys.exit(main())
