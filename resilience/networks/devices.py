"""Workers of one machine, and what each of them is to use."""

import re


def gpu_of_worker(process_name: str, gpus: int) -> int:
    """Index of the GPU that a process is to use, so that workers are spread over all of them.

    Parameters
    ----------
    process_name
        As multiprocessing and joblib give it to their workers, `SpawnProcess-2` and
        `LokyProcess-2`; a process with no number is the only one.
    """
    number = re.search(r"-(\d+)$", process_name)
    return (int(number[1]) - 1) % gpus if number else 0
