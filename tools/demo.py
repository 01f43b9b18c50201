"""Set up and run examples/quickstart: what `make demo` does."""

from __future__ import annotations

import sys

from environments import PIP_INSTALL, ROOT, environment, main, run, say

FROM_CHECKOUT = ("--no-deps", "--no-build-isolation", "--force-reinstall", ROOT)


def demo() -> None:
    """Install the locked requirements and this checkout's package, then hand over to the demo."""
    python = environment("demo", "demo")
    say("installing otel-keyaudit from this checkout")
    run(python, *PIP_INSTALL, *FROM_CHECKOUT, failure="the package could not be built (see above)")
    say("running examples/quickstart/demo.py")
    run(python, ROOT / "examples/quickstart/demo.py", *sys.argv[1:], failure="the demo failed (see above)")


if __name__ == "__main__":
    sys.exit(main("make demo", demo))
