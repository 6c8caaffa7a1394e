"""The options of a run, and a chapter's script as a program: `python -m chapters.ch04_cnn.lenet --data digits`."""
import sys

from data_tools.errors import Parser, UserError, one_line_errors


def run_script(experiment):
    """What a script does when it is run: its experiment, with the options of `python -m chapters run`.

    Parameters
    ----------
    experiment : chapters.kit.experiment.Experiment
    """
    module = sys.modules['__main__'].__spec__  # none of a file that was called by its path
    parser = Parser(f'python -m {module.name}' if module else f'python {sys.argv[0]}',
                    description=f'{experiment.section} {experiment.title} {experiment.title_zh}')
    add_run_options(parser)
    add_distributed(parser)
    sys.exit(one_line_errors(run_all)([] if '--resume' in sys.argv else [experiment], parser.parse_args()))


def add_run_options(parser):
    """The options that every run takes."""
    parser.add_argument('--data', metavar='NAME', default='',
                        help='mnist, fashion, digits, cifar10, or a folder or archive: of images in one folder a class, of '
                        'packs (train.rec and val.rec), of four IDX files')
    parser.add_argument('--data-root', metavar='DIR', help='where data sets lie (then $BOOKCNN_DATA, ~/.bookcnn/data)')
    parser.add_argument('--recipe', default='', choices=('book', 'fast'),
                        help='fast: one of ours that costs less, where there is one (default: book); what it reaches stands in '
                        'docs/RESULTS.md')
    parser.add_argument('--epochs', type=int, metavar='N')
    parser.add_argument('--subset', type=int, metavar='N', help='train on the first N samples only')
    parser.add_argument('--batch-size', type=int, metavar='N')
    parser.add_argument('--learning-rate', type=float, metavar='X')
    parser.add_argument('--dtype', metavar='TYPE', help='float32, or bfloat16 or float16 where the device can')
    parser.add_argument('--seed', type=int, default=0, metavar='N')
    parser.add_argument('--device', default='auto', metavar='NAME', help='auto, cpu, gpu or gpu:0,1')
    parser.add_argument('--form', default='gluon', choices=('gluon', 'symbolic'),
                        help='symbolic: the book\'s own graph, trained by mx.mod.Module')
    parser.add_argument('--init', metavar='FILE', help='start from the parameters of a .params file; zoo: from published ones')
    parser.add_argument('--out', metavar='DIR', help='the run folder to make (default: one under runs/)')
    parser.add_argument('--resume', metavar='DIR', help='go on with a run that was stopped')
    parser.add_argument('--set', metavar='KEY=VALUE', action='append', default=[],
                        help='any field of the recipe, size of the network, or setting of the program')


def add_distributed(parser):
    """The option for several workers, which `horovodrun` or `launch` start."""
    parser.add_argument('--distributed', default='', choices=('horovod', 'dist_sync'), metavar='ENGINE',
                        help='horovod, under horovodrun; or dist_sync, MXNet\'s parameter server, under `launch`')


def changes_of(options):
    """{name: value} of the settings that the command line changes."""
    changes = {name: getattr(options, name) for name in ('epochs', 'batch_size', 'learning_rate', 'dtype')
               if getattr(options, name, None) is not None}
    if getattr(options, 'subset', None) is not None:
        if options.subset < 1:
            raise UserError(f'--subset {options.subset}: give a number from 1 on; without --subset all samples are taken')
        changes['train_samples'] = options.subset
    for text in options.set:
        name, equals, value = text.partition('=')
        if not equals or not name:
            raise UserError(f'--set {text}: give KEY=VALUE')
        changes[name.replace('-', '_')] = value
    return changes


def run_all(experiments, options):
    """Run experiments, or go on with a run, and print their figures; returns the exit code.

    Parameters
    ----------
    experiments : list of Experiment
    options : argparse.Namespace
    """
    import chapters
    from chapters.kit.experiment import Training
    from chapters.kit.perform import resume, run_experiment
    from chapters.kit.training.workers import join, larger_batch
    if options.resume and experiments:
        raise UserError('--resume takes everything from the run folder: leave out the section')
    if options.resume:
        parser = Parser()
        add_run_options(parser)
        given = [name for name, usual in vars(parser.parse_args([])).items()
                 if name != 'resume' and getattr(options, name) != usual]
        if given:
            raise UserError('--resume takes everything from the run folder: leave out --' + given[0].replace('_', '-'))
    if options.out and len(experiments) > 1:
        raise UserError('--out holds one run: give one section, or leave it out')
    if options.data and experiments and not any(isinstance(experiment, Training) for experiment in experiments):
        raise UserError(f'--data {options.data}: {experiments[0].section} reads no data set; leave it out'
                        + (', or see --set data=' if 'data' in experiments[0].settings() else ''))
    with join(options.distributed) as workers:
        results = [resume(options.resume, chapters.find, workers)] if options.resume else []
        for experiment in experiments:
            experiment = workers.together(lambda: experiment.by(options.recipe).but(**changes_of(options)))
            if experiment.shared and 'batch_size' not in experiment.changed:
                experiment = experiment.but(**larger_batch(experiment.recipe, workers.size))
            results.append(run_experiment(
                experiment, workers=workers, data=options.data, data_root=options.data_root, out=options.out,
                seed=options.seed, device_name=options.device, form=options.form, init=options.init))
    for run, result in results if not workers.rank else ():
        print_result(run, result)
    return 0


def print_result(run, result):
    """Our figures beside the book's, with what differs, and where the run folder is."""
    from rich.table import Table
    label = run.experiment.recipe_label
    differs = ', '.join(filter(None, (f'recipe {label}' * bool(label), result['short'])))
    table = Table('figure', 'the book', 'here' + (f' ({differs})' if differs else ''))
    for name, value in result['metrics'].items():
        printed = result['book'].get(name)
        table.add_row(name, f'{printed:.6g}' if printed is not None else '', f'{value["last"]:.6g}')
    console().print(table)
    if result['note']:
        print(result['note'])
    if cost(result):
        print(cost(result))
    print(run.folder)


def cost(result):
    """What a training cost, in a line: `1.2e+14 operations, 40 epochs, 17 core-minutes`; empty where nothing was counted."""
    minutes, words = result['core_seconds'] / 60, []
    if result['operations']:
        words.append(f'{result["operations"]:.2g} operations')
    if result['epochs']:
        words.append(f'{result["epochs"]} epoch' + 's' * (result['epochs'] > 1))
    if minutes:
        words.append((f'{minutes:.2g}' if minutes < 99.5 else f'{minutes:,.0f}') + ' core-minutes')
    return ', '.join(words)


def console():
    """A terminal, or a wide page where the output goes into a pipe."""
    from rich.console import Console
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=170)
