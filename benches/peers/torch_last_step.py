"""As torch_step.py, with images whose channels come last. Started by compare.py: torch_last_step.py THREADS."""

import torch

from torch_step import Torch

if __name__ == "__main__":
    Torch(torch.channels_last).serve()
