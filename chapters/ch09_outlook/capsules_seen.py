"""Section 9.4.2: what a trained capsule network has understood: its numbers, digits in pieces, attacks, overlapping digits."""
import itertools

import numpy as np
from mxnet import nd

import chapters
from chapters.ch08_gan.samples import tiles
from chapters.ch08_gan.strokes import slant, stroke_width
from chapters.kit.inside.looking import recording
from chapters.kit.report import figures
from chapters.kit.trained.saved import load_run

_EPSILONS = 0.05, 0.1, 0.2, 0.3
_MOST = 1000  # test images that are cut or attacked


def measure_one(run, network):
    """Figures of `Capsules` on test images; beside it, where images are as MNIST's, 4.4's network that comes along."""
    metrics = draw_sweeps(run, network)
    x, y = run.data.validation_x[:_MOST], run.data.validation_y[:_MOST]
    answers = {'capsules': network.lengths}
    attacked = {'capsules': (network.capsules, lambda out, label: network.margin(out, nd.one_hot(label, network.classes)))}
    if x.shape[1:] == (1, 28, 28) and network.classes == 10:
        other = load_run('zoo:4.4', chapters.find).network
        answers['cnn'] = lambda images: nd.softmax(other(nd.array(images))).asnumpy()
        attacked['cnn'] = other, lambda out, label: -nd.log_softmax(out).pick(label)
    pieces = shuffled_quarters(x, np.random.default_rng(run.seed))
    for name, answer in answers.items():
        whole, broken = answer(x), answer(pieces)
        metrics.update({
            f'{name}_right': np.mean(whole.argmax(1) == y), f'{name}_sure': whole.max(1).mean(),
            f'{name}_sure_of_pieces': broken.max(1).mean(), f'{name}_pieces_above_0.9': np.mean(broken.max(1) > 0.9)})
        for epsilon in _EPSILONS:
            found = answer(fgsm(*attacked[name], x, y, epsilon)).argmax(1)
            metrics[f'{name}_right_fgsm_{epsilon:g}'] = np.mean(found == y)
    _draw_pieces(run, x, pieces, answers)
    return metrics


def fgsm(network, loss, x, y, epsilon):
    """Images moved by epsilon along the sign of the loss's gradient, within 0 and 1 (9.2.2, arXiv 1412.6572).

    Parameters
    ----------
    network : HybridBlock
    loss : callable
        `loss(output, labels) -> (N,)`.
    x, y : numpy.ndarray
        (N, C, H, W) from 0 to 1, (N,).
    epsilon : float
    """
    found = []
    for start in range(0, len(x), 100):
        part = nd.array(x[start:start + 100])
        part.attach_grad()
        with recording(network):
            value = loss(network(part), nd.array(y[start:start + 100]))
        value.backward()
        found.append(nd.clip(part + epsilon * nd.sign(part.grad), 0, 1).asnumpy())
    return np.concatenate(found)


def shuffled_quarters(x, random):
    """Images (N, C, H, W), H and W even, cut into quarters; none of them stays where it was."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    places = [(slice(top, top + height), slice(left, left + width)) for top in (0, height) for left in (0, width)]
    orders = [order for order in itertools.permutations(range(4)) if all(a != b for a, b in enumerate(order))]
    moved = np.empty_like(x)
    for image, into, choice in zip(x, moved, random.integers(0, len(orders), len(x))):
        for place, source in zip(places, orders[choice]):
            into[(slice(None), *place)] = image[(slice(None), *places[source])]
    return moved


def sweep(network, vector, label, which, steps=11):
    """Figure 9-35: images (steps, C, S, S) of a capsule one of whose numbers is moved from -0.25 to 0.25 from where it is."""
    vectors = np.zeros((steps, network.classes, len(vector)), np.float32)
    vectors[:, int(label)] = vector
    vectors[:, int(label), which] += np.linspace(-0.25, 0.25, steps)
    images = network.decode(nd.array(vectors), nd.full(steps, label)).asnumpy()
    return images.reshape(steps, -1, network.side, network.side)


def draw_sweeps(run, network, rows=6):
    """`figures/numbers.png`: for some digits, the number of their capsule that changes the image most, swept.

    Returns
    -------
    dict
        `sweep_change`: mean absolute change of a pixel from one end to the other; `sweep_stroke`, `sweep_slant`: how far
        stroke width and slant of a digit move at most.
    """
    x, y, page, labels = run.data.validation_x, run.data.validation_y, [], []
    changes, moves = [], []
    for label in range(min(rows, network.classes)):
        image = x[y == label][:1]
        vector = network.vectors(image)[0, label]
        swept = [sweep(network, vector, label, which) for which in range(len(vector))]
        change = [np.abs(images[-1] - images[0]).mean() for images in swept]
        for which in np.argsort(change)[::-1][:2]:
            page.append(np.concatenate([image, swept[which]]))
            labels.append(f'{run.data.class_names[label]}, number {which}')
        changes.append(max(change))
        if image.shape[1] == 1:
            moves.append([max(np.ptp(measure(images * 2 - 1)) for images in swept) for measure in (stroke_width, slant)])
    figure, axis = figures.plt.subplots(figsize=(8, 8))
    axis.imshow(tiles(np.concatenate(page) * 2 - 1, len(page[0])), cmap='gray')
    step = network.side + 1
    axis.set_yticks((np.arange(len(page)) + 0.5) * step, labels, fontsize=8)
    axis.set_xticks((np.arange(len(page[0])) + 0.5) * step,
                    ['image'] + [f'{shift:+.2f}' for shift in np.linspace(-0.25, 0.25, 11)], fontsize=8)
    axis.set_title(figures.text('9-35 One number of a capsule moved', '改变胶囊中的一个数'))
    run.save_figure(figure, 'numbers')
    return {'sweep_change': np.mean(changes),
            **dict(zip(('sweep_stroke', 'sweep_slant'), np.max(moves, axis=0) if moves else ()))}


def _draw_pieces(run, x, pieces, answers, count=8):
    figure, axes = figures.plt.subplots(2, count, figsize=(1.5 * count, 4.4))
    for row, images in zip(axes, (x[:count], pieces[:count])):
        said = {name: answer(images) for name, answer in answers.items()}
        for number, axis in enumerate(row):
            axis.imshow(images[number].transpose(1, 2, 0).squeeze(), cmap='gray')
            axis.set_title('\n'.join(f'{name} {run.data.class_names[out[number].argmax()]}: {out[number].max():.0%}'
                                     for name, out in said.items()), fontsize=8)
            axis.axis('off')
    figure.suptitle(figures.text('9-34 Features out of place: how sure?', '特征错位：网络有多确信？'))
    run.save_figure(figure, 'pieces')


def measure_two(run, network, shown=8):
    """`figures/overlapping.png`: pairs of test digits, and what `Overlapping` makes of each of the two it finds.

    Returns
    -------
    dict
        Squared error of a pixel of the two made alone, and that of taking the pair itself for both.
    """
    x, _, labels, alone = network.test_pairs(run.data)
    x, labels, alone = x[:_MOST], labels[:_MOST], alone[:_MOST]
    vectors = network.vectors(x)
    found = np.argsort(-np.linalg.norm(vectors, axis=2), axis=1, kind='stable')[:, :2]
    swap = (found[:, 0] == labels[:, 1]) | (found[:, 1] == labels[:, 0])
    found[swap] = found[swap, ::-1]  # in the order of the truth, where they are true
    made = np.stack([network.decode(nd.array(vectors), nd.array(found[:, which])).asnumpy().reshape(x.shape)
                     for which in range(2)], axis=1)
    page = np.concatenate([part[:shown] for part in (x, made[:, 0], made[:, 1], alone[:, 0], alone[:, 1])])
    figure, axis = figures.plt.subplots(figsize=(8, 5.4))
    axis.imshow(tiles(page * 2 - 1, shown), cmap='gray')
    step = network.side + 1
    axis.set_yticks((np.arange(5) + 0.5) * step, ['pair', 'first found', 'second found', 'first', 'second'], fontsize=8)
    axis.set_xticks((np.arange(shown) + 0.5) * step, [' and '.join(run.data.class_names[label] for label in row)
                                                      for row in found[:shown]], fontsize=8)
    axis.set_title(figures.text('9.4.2 Overlapping digits taken apart', '分开重叠的数字'))
    run.save_figure(figure, 'overlapping')
    return {'error_of_parts': np.square(made - alone).mean(), 'error_of_whole': np.square(x[:, None] - alone).mean()}
