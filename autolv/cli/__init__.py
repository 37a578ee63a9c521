"""One thin file per command: ``build_parser()`` and ``main(argv) -> int``. Only here is the environment read."""
