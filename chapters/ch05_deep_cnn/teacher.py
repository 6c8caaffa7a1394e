"""Section 5.3: a wide teacher, and students that are narrower and deeper, which also learn what an intermediate layer of the
teacher says.

Romero, Ballas, Kahou, Chassang, Gatta, Bengio, "FitNets: hints for thin deep nets", ICLR 2015
(https://arxiv.org/abs/1412.6550). They learn the hint first, then the answers; the book, and we, both at once.

    python -m chapters run 5.3-fitnet --data digits
"""
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import scaled
from chapters.ch05_deep_cnn.recipes import CIFAR
from chapters.ch05_deep_cnn.resnet import ResNet
from chapters.kit.data.batches import Batches
from chapters.kit.experiment import Study
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_initializer, make_optimizer
from chapters.kit.training.train import Evaluation, Objective, train
from chapters.kit.variants import draw_accuracies
from chapters.script import run_script

_UNITS, _WIDTH = (6, 6, 6), 4  # of a student: units a stage, against the teacher's 3; how many times narrower


def learn(run, model, student, data, loss, recipe=None, after=None):
    """Train by a run's recipe with a loss of its own.

    Parameters
    ----------
    run : Run
    model : HybridBlock, initialized
        All that is trained.
    student : HybridBlock
        The part of it that answers.
    data : TrainingData
    loss : callable
        `loss(x, y) -> (N,)`.
    recipe : Recipe, optional
        Another than the run's.
    after : callable, optional
        Called after every update.

    Returns
    -------
    list of float
        Validation accuracy after each epoch.
    """
    recipe, device, curve = recipe or run.recipe, run.devices[0], []
    random = seed_everything(run.seed)
    batches = Batches(data, recipe.but(mixup=0.0), device)
    trainer = gluon.Trainer(model.collect_params(), make_optimizer(recipe, batches.number, model))
    evaluate = Evaluation(Objective(student), data.validation_x, data.validation_y, device)
    for epoch in range(recipe.epochs):
        for x, y in batches.of_epoch(random, epoch):
            x, y = x.as_in_context(device), y.as_in_context(device)
            with autograd.record():
                losses = loss(x, y)
            losses.backward()
            trainer.step(1)  # the optimizer itself divides by the batch size
            if after:
                after()
        curve.append(float(evaluate()[1]))
    return curve


class Hinted(gluon.HybridBlock):
    """A student whose middle is compared with its teacher's through a 1x1 convolution (figure 1 of the paper).

    Parameters
    ----------
    student : ResNet
    planes : int
        Of the teacher's layer.

    Input (N, C, H, W), outputs logits (N, classes) and (N, planes, h, w).
    """
    def __init__(self, student, planes, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.student = student
            self.regressor = nn.Conv2D(planes, kernel_size=1)

    def hybrid_forward(self, F, x):
        x = middle_of(self.student, x)
        hint = self.regressor(x)
        for layer in list(self.student.features)[len(_before_the_last_stage(self.student)):]:
            x = layer(x)
        return self.student.output(F.mean(x, axis=(2, 3))), hint


def _before_the_last_stage(network):
    """The layers of a `ResNet` up to the end of its second stage of three."""
    features = list(network.features)
    units = [number for number, layer in enumerate(features) if hasattr(layer, 'body')]
    return features[:units[len(units) * 2 // 3]]


def middle_of(network, x):
    """What a `ResNet` makes of images by the end of its second stage."""
    for layer in _before_the_last_stage(network):
        x = layer(x)
    return x


def teacher_and_students(run):
    """A wide network, then narrower and deeper ones by labels alone, and by labels and the teacher's middle.

    Returns
    -------
    dict
        Accuracies, and how many thousand parameters teacher and student have.
    """
    teacher, history = train(run)
    data, recipe, device = run.data, run.recipe, run.devices[0]
    planes = scaled(64, run.experiment.settings()['width'])
    curves = {'teacher': [row['validation_accuracy'] for row in history]}
    sizes = {'units': _UNITS, 'width': run.experiment.settings()['width'] / _WIDTH}
    for name in ('student by labels', "student by labels and the teacher's middle"):
        seed_everything(run.seed)
        student = run.experiment.but(**sizes).build()
        initialize(student, recipe, data.train_x[:1], [device])
        model = Hinted(student, planes)
        model.regressor.initialize(make_initializer(recipe.initializer), ctx=device)
        model.hybridize(static_alloc=True)

        def loss(x, y, model=model, hinted='middle' in name):
            logits, hint = model(x)
            answers = -nd.pick(nd.log_softmax(logits), y)
            if not hinted:
                return answers
            with autograd.pause():
                wanted = middle_of(teacher, x)
            return answers + nd.square(hint - wanted).mean(axis=(1, 2, 3)) / 2
        model(nd.array(data.train_x[:1], device))
        curves[name] = learn(run, model, student, data, loss)
        run.say(f'{name}: {curves[name][-1]:.4f}')
    draw_accuracies(run, curves, 'students', '5.3 Teacher and students', '教师与学生')

    def thousands(network):
        return sum(parameter.data(device).size for parameter in network.collect_params().values()
                   if parameter.grad_req != 'null') / 1e3
    return {'teacher_accuracy': curves['teacher'][-1], 'student_of_labels': curves['student by labels'][-1],
            'student_of_the_middle': curves["student by labels and the teacher's middle"][-1],
            'teacher_thousand_parameters': thousands(teacher), 'student_thousand_parameters': thousands(student)}


EXPERIMENTS = [
    Study('5.3-fitnet', "Narrower and deeper students that learn a teacher's middle", '更窄更深、学习教师中间层的学生网络',
          network=ResNet, recipe=CIFAR.but(epochs=8), data='cifar10', sample_shape=(3, 28, 28), scale=1.0,
          function=teacher_and_students, ignores=('small_pixels', 'small_epochs')),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
