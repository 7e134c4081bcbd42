"""Assignment of one machine's GPUs to its workers."""

import re


def gpu_of_worker(process_name: str, gpus: int) -> int:
    """Index of the GPU that a process should use, so that workers are spread over all GPUs.

    Parameters
    ----------
    process_name
        As multiprocessing and joblib name their workers, `SpawnProcess-2` and `LokyProcess-2`; a
        process without a number is the only one.
    """
    number = re.search(r"-(\d+)$", process_name)
    return (int(number[1]) - 1) % gpus if number else 0
