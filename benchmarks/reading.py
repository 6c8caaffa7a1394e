"""One reader going through packed photographs once: `python benchmarks/reading.py KIND PATH` prints images a second.

Called by `benchmarks.packing`; by itself, since WebDataset and TensorFlow live in an environment of their own. All
decode every JPEG and cut it to 224 x 224; what is imported and opened first does not count, and the best of three
epochs does.
"""
import sys
import time

EDGE, BATCH = 224, 50


def record_iter(path):
    import numpy
    numpy.bool = bool
    import mxnet as mx
    reader = mx.io.ImageRecordIter(path_imgrec=path, data_shape=(3, EDGE, EDGE), batch_size=BATCH, preprocess_threads=2,
                                   verbose=False)

    def epoch():
        reader.reset()
        return sum(batch.data[0].asnumpy().shape[0] - batch.pad for batch in reader)
    return epoch


def record_dataset(path):
    import numpy
    numpy.bool = bool
    import mxnet as mx
    data = mx.gluon.data.vision.ImageRecordDataset(path).transform_first(lambda image: image[:EDGE, :EDGE])
    loader = mx.gluon.data.DataLoader(data, BATCH, num_workers=2)
    return lambda: sum(images.shape[0] for images, _ in loader)


def read_images(path):
    from data_tools.images import pixels_of
    from data_tools.recordio import read_images
    return lambda: sum(pixels_of(image.data)[:EDGE, :EDGE].size > 0 for _, image in read_images(path))


def webdataset(path):
    import webdataset as wds
    data = wds.WebDataset(path, shardshuffle=False).decode('rgb8').to_tuple('jpg', 'cls')

    def epoch():
        return sum(image[:EDGE, :EDGE].size > 0 for image, _ in data)
    return epoch


def tfrecord(path):
    import tensorflow as tf
    form = {'image': tf.io.FixedLenFeature([], tf.string), 'label': tf.io.FixedLenFeature([], tf.float32)}

    def parse(record):
        found = tf.io.parse_single_example(record, form)
        return tf.io.decode_jpeg(found['image'], channels=3)[:EDGE, :EDGE], found['label']
    data = tf.data.TFRecordDataset(path).map(parse, num_parallel_calls=2).batch(BATCH).prefetch(2)
    return lambda: sum(images.shape[0] for images, _ in data)


def make_tfrecord(tar, path):
    """The photographs of a WebDataset's tar as TFRecords."""
    import tarfile

    import tensorflow as tf
    with tarfile.open(tar) as archive, tf.io.TFRecordWriter(path) as writer:
        for member in archive:
            if member.name.endswith('.jpg'):
                features = {'image': tf.train.Feature(bytes_list=tf.train.BytesList(
                    value=[archive.extractfile(member).read()])),
                    'label': tf.train.Feature(float_list=tf.train.FloatList(value=[0.0]))}
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def main():
    kind, path = sys.argv[1:3]
    if kind == 'make_tfrecord':
        make_tfrecord(path, sys.argv[3])
        return
    epoch = globals()[kind](path)
    epoch()  # opens files, fills caches
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        count = epoch()
        best = max(best, count / (time.perf_counter() - began))
    print(best)


if __name__ == '__main__':
    main()
