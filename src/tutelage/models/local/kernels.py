"""Which of PyTorch's attention kernels compute on a GPU."""

import contextlib

from torch.nn.attention import SDPBackend, sdpa_kernel

_SOUND = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def sound(device: object) -> contextlib.AbstractContextManager[object]:
    """Leave cuDNN's attention out on a GPU; elsewhere nothing is changed.

    It is PyTorch's first choice on Hopper from 2.11 on. Behind a mask its backward pass gives gradients that are no
    numbers (pytorch/pytorch issue 196678; seen here on an H200), and it plans anew for every length.
    """
    return sdpa_kernel(_SOUND) if str(device).startswith("cuda") else contextlib.nullcontext()
