"""Did the memory of a GPU run out? No counter tells: the libraries' own words at the end of the output do.

Words alone never decide: a job may catch the error, and go on. Who asks knows that it has failed.
"""

from __future__ import annotations

import os
import re

# How much of the end of an attempt's output is read.
TAIL_BYTES = 1 << 16

# What torch, JAX and TensorFlow say. RESOURCE_EXHAUSTED alone is also what a web service says of a quota.
_SAID = re.compile(
    rb"(?:torch\.(?:cuda\.)?OutOfMemoryError|(?:CUDA|HIP|XPU) out of memory"
    rb"|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    rb"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    rb"|OOM when allocating tensor"
    rb"|RESOURCE_EXHAUSTED: [^\r\n]{0,200}?"
    rb"(?:[Oo]ut of memory|allocate |allocating |memory space hbm|to reserve ))"
)


def said_out_of_memory(tail: bytes) -> str:
    """The words that say so, the last of them; empty where none do."""
    found = [match.group() for match in _SAID.finditer(tail)]
    return found[-1].decode("ascii", "replace").strip() if found else ""


def tail_of(path: str, since: int) -> bytes:
    """The last TAIL_BYTES of the file, nothing before the offset `since`; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since, size - TAIL_BYTES, 0))
            return file.read(TAIL_BYTES)
    except OSError:
        return b""
