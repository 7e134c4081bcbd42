"""Results of trials: their records on disk, failed trials, and how two results compare."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["Difference"],
        "failed_trials": ["Failure", "find_failures"],
        "record": ["DamagedResultError", "Result", "find_results", "read_result", "write_result"],
    },
)
