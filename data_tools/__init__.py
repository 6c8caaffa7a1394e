"""Datasets on disk: IDX and CIFAR files, RecordIO packing, game records, downloads. Knows nothing of networks."""
