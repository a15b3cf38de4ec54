"""`python -m pipeline` is the command `contact-pipeline`."""


def main() -> None:
    """Run the command line."""
    from pipeline.cli import app

    app(prog_name="contact-pipeline")


if __name__ == "__main__":
    main()
