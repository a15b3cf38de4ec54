"""`python -m pipeline` is the command `contact-pipeline`."""


def main() -> None:
    """Run the command line."""
    import gc

    # What comes and goes by the hundred thousand are rows, which hold no cycles: to look for some so often as is usual
    # costs as much as handling the rows. Nor is it worth looking while modules are imported: some 30 ms.
    gc.set_threshold(100_000, 20, 20)

    from pipeline.cli import app

    app(prog_name="contact-pipeline")


if __name__ == "__main__":
    main()
