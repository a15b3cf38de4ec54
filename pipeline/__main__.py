"""`python -m pipeline` is the command `contact-pipeline`."""


def main() -> None:
    """Run the command line."""
    import gc
    import os
    import sys

    _open_closed_streams()
    # What comes and goes by the hundred thousand are rows, which hold no cycles: to look for some so often as is usual
    # costs as much as handling the rows. Nor is it worth looking while modules are imported: some 30 ms.
    gc.set_threshold(100_000, 20, 20)
    # polars has its allocator (jemalloc) give back after half a second what batches take again in the next: every page
    # of that costs a fault. Read when polars is loaded.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000")
    if sys.platform == "linux":
        _share_one_heap()
    if "_CONTACT_PIPELINE_COMPLETE" in os.environ:
        # A shell waits for it at a key press, and typer would load rich, a third of that wait, to take markup off texts
        # that have none. None is the import system's word for what is not there.
        sys.modules["rich"] = None  # type: ignore[assignment]

    try:
        from pipeline.cli import app

        app(prog_name="contact-pipeline")
    except KeyboardInterrupt:  # before a command has begun
        sys.exit(130)


def _open_closed_streams() -> None:
    """Put the null device in the place of standard streams that whoever started this has closed.

    What is opened next would get their numbers, and libuv, under the event loop, ends the process when it is to close
    one of these. What is written to a closed stream is for nobody.
    """
    import os
    import sys

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the least number that is free is this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")


def _share_one_heap() -> None:
    """Have the C library (glibc) keep one heap for all threads, where it would keep one for each.

    Rows come into being in one thread and go in another, and what becomes free in the heap of a thread that waits
    serves no other: fifty megabytes. The threads do not wait for each other, as they hold Python's lock there anyway.
    """
    import ctypes
    from contextlib import suppress

    arenas_at_most = -8  # M_ARENA_MAX of malloc.h
    with suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).mallopt(arenas_at_most, 1)


if __name__ == "__main__":
    main()
