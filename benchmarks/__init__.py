"""Measurements of colab-run beside util-linux `script`, coreutils `tee` and `timeout`: `make bench`."""
