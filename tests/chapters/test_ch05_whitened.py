"""The network that learns fast: its first layer whitens, and does not learn."""
import mxnet as mx
import numpy as np

import chapters
from chapters.ch05_deep_cnn.whitened import WhitenedNet, whiten
from chapters.kit.data.training_data import TrainingData
from chapters.kit.perform import run_experiment


def smooth_images(random, count):
    """Neighbouring pixels alike, as in photographs."""
    coarse = random.random((count, 3, 9, 9)).repeat(4, axis=2).repeat(4, axis=3)[:, :, :32, :32]
    return (0.8 * coarse + 0.2 * random.random((count, 3, 32, 32))).astype(np.float32)


def test_patches_come_out_uncorrelated_in_both_signs():
    x = smooth_images(np.random.default_rng(0), 400)
    network = WhitenedNet(width=0.1)
    network.initialize()
    network(mx.nd.zeros((1, 3, 32, 32)))
    whiten(network, TrainingData('', x, np.zeros(400), x, np.zeros(400)))
    out = network.whitening(mx.nd.array(x)).asnumpy().transpose(1, 0, 2, 3).reshape(24, -1)
    np.testing.assert_allclose(np.cov(out[:12]), np.eye(12), atol=0.02)
    np.testing.assert_allclose(out[:12].mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(out[12:], -out[:12], atol=1e-5)


def test_training_leaves_the_first_layer_as_it_is(tmp_path):
    experiment = chapters.find('5.5.7-fast').but(width=0.1, epochs=1, train_samples=100, batch_size=50, learning_rate=0.1)
    images = smooth_images(np.random.default_rng(1), 150)
    for part, chosen in (('train', slice(0, 100)), ('val', slice(100, 150))):
        for number, image in enumerate(images[chosen]):
            folder = tmp_path / 'in' / part / str(number % 2)
            folder.mkdir(parents=True, exist_ok=True)
            from PIL import Image
            Image.fromarray((255 * image).astype(np.uint8).transpose(1, 2, 0)).save(folder / f'{number}.png')
    run, result = run_experiment(experiment, data=str(tmp_path / 'in'), out=tmp_path / 'run', quiet=True)
    found = mx.nd.load(str(tmp_path / 'run' / 'model-0001.params'))
    network = run.experiment.build()
    network.initialize()
    network(mx.nd.zeros((1, 3, 32, 32)))
    whiten(network, run.data)
    (name,) = (name for name in found if name.endswith('conv0_weight'))
    np.testing.assert_allclose(found[name].asnumpy(), network.whitening.weight.data().asnumpy(), rtol=1e-4, atol=1e-5)
    assert result['recipe_name'] == 'fast' and result['operations'] > 0
