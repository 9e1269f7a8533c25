"""Train a policy with Direct Preference Optimization: `python -m train.engine CONFIG.json`.

The exit code is 0 (trained), 1 (an error, one sentence on stderr and in error.json), 2 (the configuration
is wrong) or 143 (stopped by SIGTERM). However a run ended, the same command goes on from its last checkpoint.
`--check` reads the data with the real tokenizer, says what it found, and trains nothing.

A run on a CPU that takes seconds, with a tiny random model and data made for it:

    python -m tests.engine.tiny /tmp/tiny && python -m train.engine /tmp/tiny/config.json
"""

import argparse
import contextlib
import signal
import sys
import traceback
from pathlib import Path

from train.engine.config import TrainingConfig, read_json
from train.engine.errors import ConfigError, EngineError, Stopped
from train.engine.output import write_json
from train.engine.stop import StopRequest


def main() -> int:
    """Run the configuration named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.engine", description="Train a policy with DPO.")
    parser.add_argument("config", help="JSON file, see docs/trainer.md")
    parser.add_argument("--check", action="store_true", help="read the data and say what it holds; train nothing")
    options = parser.parse_args()
    output: Path | None = None
    try:
        values = read_json(options.config)
        if not options.check and isinstance(values, dict) and isinstance(values.get("output"), str):
            output = Path(values["output"])
        config = TrainingConfig.from_dict(values)
    except ConfigError as exc:
        return fail(str(exc), 2, output)
    if options.check:
        return check(config)

    stop = StopRequest()
    signal.signal(signal.SIGTERM, stop.request)
    signal.signal(signal.SIGINT, stop.request)
    # Imported here because it takes seconds to import torch: a wrong configuration is told at once, and a
    # signal is obeyed from the start.
    from train.engine.run import run

    try:
        run(config, stop)
    except Stopped as exc:
        return fail(str(exc), 143, output)
    except EngineError as exc:
        return fail(str(exc), 1, output)
    except OSError as exc:
        return fail(f"A file could not be read or written: {exc}.", 1, output)
    except Exception as exc:
        traceback.print_exc()
        return fail(f"The trainer met an error it does not know, {type(exc).__name__}: {exc}", 1, output)
    return 0


def check(config: TrainingConfig) -> int:
    """Read the data files with the real tokenizer and print what they hold."""
    from train.engine.models import load_tokenizer
    from train.engine.run import check_groups, load_groups

    try:
        tokenizer = load_tokenizer(config.model)
        for name, path in (("data", config.data), ("held_out", config.held_out)):
            if path is not None:
                groups, found = load_groups(path, tokenizer, config)
                sys.stdout.write(f"{name}: {path}\n")
                sys.stdout.writelines(f"  {key}: {value}\n" for key, value in found.items())
                if name == "data":
                    check_groups(groups, found, config)
    except EngineError as exc:
        return fail(str(exc), 1, None)
    return 0


def fail(sentence: str, code: int, output: Path | None) -> int:
    """Tell a person what went wrong, on stderr and in the run folder where there is one."""
    sys.stderr.write(f"{sentence}\n")
    if output is not None and output.is_dir() and not (output / "summary.json").exists():
        with contextlib.suppress(OSError):  # the disk may be what is wrong
            write_json(output / "error.json", {"error": sentence})
    return code


if __name__ == "__main__":
    sys.exit(main())
